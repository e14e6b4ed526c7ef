import type { Command } from 'commander'
import type { Trouble, VerdictCode } from '../../../contract/verdict.ts'
import { AppError } from '../../../core/error.ts'
import type { ManualAction, ManualActionResult } from '../../../operations/accounts/manual-action.ts'
import { isUnheld, lockData, lockLines, orderedName, unlockData, unlockLines } from '../../texts/manual-action-text.ts'
import { adviceFor } from '../../texts/advice.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { effectNote, otherLockNote } from '../../texts/lock-effect.ts'
import { moment } from '../../terminal/moment.ts'
import { note, plain, printData, printText } from '../../terminal/output.ts'
import { durationOption, LOGIN_HELP, reasonOption, type Flags, type Given, type Texts } from '../../terminal/options.ts'
import { personOf } from '../../process/person.ts'
import { errorLog, loadForWork, openSystemFor } from '../../process/settings.ts'

type Options = Given<'reason'> & Texts<'realm' | 'for'> & Flags<'resetToken' | 'adopt' | 'json'>

/** The processing time of a lock must not use up all of `--for`. */
const FOR_MS_MIN = 1_000

export function register(program: Command, io: CliIo): void {
  program
    .command('lock')
    .description('hold an account locked, whatever the state of its tokens; exit code 75 when it could not be done now')
    .argument('<login>', LOGIN_HELP)
    .requiredOption('--reason <text>', 'why, for the record; needed')
    .option('--for <duration>', 'release it by itself after so long, as in 2h')
    .option('--realm <realm>', 'the realm of the login, where several directories have it; the same as login@realm')
    .option('--json', 'print the result as JSON')
    .action((login: string, options: Options, command: Command) => carryOut('hold', login, options, command, io))
  program
    .command('unlock')
    .description("release every hold of an account; exit code 69 when somebody else's lock is still there")
    .argument('<login>', LOGIN_HELP)
    .requiredOption('--reason <text>', 'why, for the record; needed')
    .option('--reset-token', 'reset the fail counters of its tokens that are full, in privacyIDEA')
    .option('--adopt', 'take over a lock that equals what Lockstep writes and is not on record, and release it too')
    .option('--realm <realm>', 'the realm of the login, where several directories have it; the same as login@realm')
    .option('--json', 'print the result as JSON')
    .action((login: string, options: Options, command: Command) => carryOut('release', login, options, command, io))
}

async function carryOut(
  kind: ManualAction['kind'],
  login: string,
  options: Options,
  command: Command,
  io: CliIo,
): Promise<void> {
  const forMs = options.for === undefined ? null : durationOption('--for', options.for)
  if (forMs !== null && forMs < FOR_MS_MIN) throw new AppError('usage', `--for ${options.for}: expected at least 1s`)
  const reason = reasonOption(options.reason)
  const settings = await loadForWork(command, io, kind === 'release')
  const { applyManualAction: act } = await import('../../../operations/accounts/manual-action.ts')
  await using system = await openSystemFor(settings, kind === 'hold')
  const order: ManualAction = {
    kind,
    login,
    realm: options.realm ?? null,
    reason,
    actor: personOf(io),
    forMs,
    resetsTokens: options.resetToken === true,
    adopts: options.adopt === true,
  }
  const result = await act(system, order, await errorLog(io))
  const { account, lock } = result
  const verdict = kind === 'hold' ? verdictOfLock(result) : verdictOfUnlock(result, order)
  io.exitCode = verdict.exit
  if (result.note !== null) note(io, `lockstep: ${plain(result.note)}`)
  const advice = result.isDone ? '' : adviceFor(account.standingCode ?? account.standing)
  if (options.json === true) {
    const data = kind === 'hold' ? lockData(result) : unlockData(result, order)
    return printData(io, { lock, account, ...data }, troubleOf(verdict, advice))
  }
  printText(io, `${plain(account.dn)}: ${verdict.text}`)
  const lines = kind === 'hold' ? lockLines(result) : unlockLines(result, order, settings.privacyidea !== null)
  for (const line of lines) printText(io, `  ${line}`)
  const effect = kind === 'hold' && result.isDone ? effectNote(account) : null
  if (effect !== null) printText(io, `  ${effect}`)
  // Where only the lock by others is in effect, the verdict of a lock reports it.
  if (result.isDone && account.otherLock !== null && (lock !== 'others' || kind === 'release'))
    printText(io, `  ${otherLockNote(account.otherLock)}`)
  const isReported = result.isDone && account.standing !== 'conflict' && account.standing !== 'protected'
  if (!isReported && account.standingReason !== '') printText(io, `  ${plain(account.standingReason)}`)
  if (advice !== '') printText(io, `  Next: ${advice}`)
}

interface Verdict {
  readonly text: string
  readonly exit: number
  /** Left out: it is done. */
  readonly code?: VerdictCode
}

const NOT_YET: Verdict = { text: 'on record, not yet carried out', exit: EXIT.tempFail, code: 'not-done-yet' }

function troubleOf({ text, code }: Verdict, hint: string): Trouble | null {
  return code === undefined ? null : { code, message: text, hint }
}

/** Locked, by our lock or another one; 69 where no lock is in effect. */
function verdictOfLock({ account, isDone, lock }: ManualActionResult): Verdict {
  if (account.standing === 'protected') {
    return {
      text: 'not locked; the hold stays on record until lockstep unlock',
      exit: EXIT.noPermission,
      code: 'protected',
    }
  }
  if (!isDone) return NOT_YET
  if (lock === 'open' && account.holds.length === 0) {
    return { text: 'not locked any more: the hold has ended meanwhile', exit: EXIT.ok }
  }
  if (lock === 'others') {
    const text = 'held, and locked already by somebody else; that lock is left alone, and ours follows when it goes'
    return { text, exit: EXIT.ok }
  }
  if (account.standing === 'not-effective') {
    const text = `the lock is written and is not enforced: ${plain(account.standingReason)}`
    return { text, exit: EXIT.unavailable, code: 'not-effective' }
  }
  const ends = account.holds.flatMap(({ untilMs }) => untilMs ?? [])
  if (ends.length < account.holds.length || ends.length === 0) return { text: 'locked', exit: EXIT.ok }
  return { text: `locked until ${moment(Math.max(...ends))}`, exit: EXIT.ok }
}

/** 69 where the user is still locked out although the order is done. */
function verdictOfUnlock(result: ManualActionResult, order: ManualAction): Verdict {
  const { account, isDone, lock, before, unrecorded } = result
  if (!isDone) return NOT_YET
  if (account.holds.length > 0) {
    const names = account.holds.map((hold) => hold.name).join(', ')
    return { text: `still locked: held anew by ${names}`, exit: EXIT.unavailable, code: 'still-locked' }
  }
  if (lock === 'open' && result.isResetRefused) {
    const text = 'unlocked, but the fail counter was not reset: privacyIDEA refuses it (right reset; lockstep doctor)'
    return { text, exit: EXIT.noPermission, code: 'reset-refused' }
  }
  if (lock === 'open' && unrecorded === 'adopted') {
    return { text: 'the lock that stood there was adopted as ours, and released: unlocked', exit: EXIT.ok }
  }
  if (lock === 'open') return { text: isUnheld(before) ? 'was not locked' : 'unlocked', exit: EXIT.ok }
  if (lock === 'unknown') {
    return { text: 'no hold of ours is left; its state in the directory could not be read', exit: EXIT.ok }
  }
  if (order.adopts) {
    const why =
      unrecorded === 'stands' ? 'what stood there before it is not known' : 'it is not what Lockstep would write'
    const text = `no hold of ours is left; the lock that stands was not adopted, since ${why}: whoever set it has to take it away`
    return { text, exit: EXIT.unavailable, code: 'still-locked' }
  }
  const theirs = 'no hold of ours is left, but somebody else’s lock is there: the person who set it has to remove it'
  const ours = `; it equals what Lockstep writes: if nobody else set it, run lockstep unlock ${orderedName(order)} --adopt --reason TEXT`
  return { text: unrecorded === 'stands' ? theirs + ours : theirs, exit: EXIT.unavailable, code: 'still-locked' }
}
