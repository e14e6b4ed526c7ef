import type { Command } from 'commander'
import { AppError } from '../../core/error.ts'
import type { Act, ActResult } from '../../daemon/act.ts'
import { adviceFor } from '../advice.ts'
import { EXIT } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { effectNote } from '../lock-effect.ts'
import { moment } from '../moment.ts'
import { plain, print, printJson } from '../output.ts'
import { actorOf, durationOption, reasonOption } from '../options.ts'
import { loadForWork } from '../settings.ts'

interface Options {
  readonly reason: string
  readonly realm?: string
  readonly for?: string
  readonly resetToken?: boolean
  readonly json?: boolean
}

/** The time that a lock takes must not be all of it. */
const FOR_MS_MIN = 1_000

export function register(program: Command, io: CliIo): void {
  program
    .command('lock')
    .description('hold an account locked, whatever its tokens say; exit code 75 when it could not be done now')
    .argument('<login>', 'the login, as privacyIDEA knows it')
    .requiredOption('--reason <text>', 'why, for the record; needed')
    .option('--for <duration>', 'release it by itself after so long, as in 2h')
    .option('--realm <realm>', 'where several directories are configured')
    .option('--json', 'print the result as JSON')
    .action((login: string, options: Options, command: Command) => carryOut('hold', login, options, command, io))
  program
    .command('unlock')
    .description("release every hold of an account; exit code 69 when somebody else's lock still stands")
    .argument('<login>', 'the login, as privacyIDEA knows it')
    .requiredOption('--reason <text>', 'why, for the record; needed')
    .option('--reset-token', 'reset the fail counters of the tokens that hold it, in privacyIDEA')
    .option('--realm <realm>', 'where several directories are configured')
    .option('--json', 'print the result as JSON')
    .action((login: string, options: Options, command: Command) => carryOut('release', login, options, command, io))
}

async function carryOut(
  kind: Act['kind'],
  login: string,
  options: Options,
  command: Command,
  io: CliIo,
): Promise<void> {
  const forMs = options.for === undefined ? null : durationOption('--for', options.for)
  if (forMs !== null && forMs < FOR_MS_MIN) throw new AppError('usage', `--for ${options.for}: expected at least 1s`)
  const reason = reasonOption(options.reason)
  const settings = await loadForWork(command, io)
  const { errorsOnly, openLog } = await import('../../daemon/log.ts')
  const { openSystem } = await import('../../daemon/system.ts')
  const { act } = await import('../../daemon/act.ts')
  await using system = await openSystem(settings)
  const order: Act = {
    kind,
    login,
    realm: options.realm ?? null,
    reason,
    actor: actorOf(io),
    forMs,
    resetsTokens: options.resetToken === true,
  }
  const result = await act(system, order, errorsOnly(openLog(io.stderr, false)))
  const { account, lock } = result
  const verdict = kind === 'hold' ? verdictOfLock(result) : verdictOfUnlock(result)
  io.exitCode = verdict.exit
  if (options.json === true) {
    printJson(io, { ok: verdict.exit === EXIT.ok, lock, account })
    return
  }
  print(io, `${plain(account.dn)}: ${verdict.text}`)
  const effect = kind === 'hold' && result.isDone ? effectNote(account) : null
  if (effect !== null) print(io, `  ${effect}`)
  const isTold = result.isDone && account.standing !== 'conflict' && account.standing !== 'protected'
  if (!isTold && account.standingReason !== '') print(io, `  ${plain(account.standingReason)}`)
  const advice = result.isDone ? '' : adviceFor(account.standingCode ?? account.standing)
  if (advice !== '') print(io, `  Next: ${advice}`)
}

interface Verdict {
  readonly text: string
  readonly exit: number
}

/** Held, whoever's lock it is that keeps the user out; 69 where none does. */
function verdictOfLock({ account, isDone, lock }: ActResult): Verdict {
  if (account.standing === 'protected') {
    return { text: 'not locked; the hold stays on record until lockstep unlock', exit: EXIT.noPermission }
  }
  if (!isDone) return { text: 'on record, not yet carried out', exit: EXIT.tempFail }
  if (lock === 'open' && account.holds.length === 0) {
    return { text: 'not locked any more: the hold has ended meanwhile', exit: EXIT.ok }
  }
  if (lock === 'others') {
    const text = 'held, and locked already by somebody else; that lock is left alone, and ours follows when it goes'
    return { text, exit: EXIT.ok }
  }
  if (account.standing === 'not-effective') {
    const text = `the lock is written and keeps nobody out: ${plain(account.standingReason)}`
    return { text, exit: EXIT.unavailable }
  }
  const ends = account.holds.flatMap(({ untilMs }) => untilMs ?? [])
  if (ends.length < account.holds.length || ends.length === 0) return { text: 'locked', exit: EXIT.ok }
  return { text: `locked until ${moment(Math.max(...ends))}`, exit: EXIT.ok }
}

/** 69 where the user is still locked out although we did what was asked. */
function verdictOfUnlock({ account, isDone, lock, wasHeld }: ActResult): Verdict {
  if (!isDone) return { text: 'on record, not yet carried out', exit: EXIT.tempFail }
  if (account.holds.length > 0) {
    const names = account.holds.map((hold) => hold.name).join(', ')
    return { text: `still locked: held anew by ${names}`, exit: EXIT.unavailable }
  }
  if (lock === 'open') return { text: wasHeld ? 'unlocked' : 'was not locked', exit: EXIT.ok }
  if (lock === 'unknown') {
    return { text: 'no hold of ours is left; how it stands in the directory could not be read', exit: EXIT.ok }
  }
  const text = 'no hold of ours is left, but somebody else’s lock stands: whoever set it has to take it away'
  return { text, exit: EXIT.unavailable }
}
