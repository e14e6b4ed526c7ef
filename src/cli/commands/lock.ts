import type { Command } from 'commander'
import type { Act, ActResult } from '../../daemon/act.ts'
import { adviceFor } from '../advice.ts'
import { EXIT } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { effectNote } from '../lock-effect.ts'
import { plain, print, printJson } from '../output.ts'
import { actorOf, durationOption } from '../options.ts'
import { loadForWork } from '../settings.ts'

interface Options {
  readonly reason: string
  readonly realm?: string
  readonly for?: string
  readonly json?: boolean
}

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
  const settings = await loadForWork(command, io)
  const { openLog } = await import('../../daemon/log.ts')
  const { openSystem } = await import('../../daemon/system.ts')
  const { act } = await import('../../daemon/act.ts')
  await using system = await openSystem(settings)
  const order: Act = { kind, login, realm: options.realm ?? null, reason: options.reason, actor: actorOf(io), forMs }
  const result = await act(system, order, openLog(io.stderr, false))
  const { isDone, lock, account } = result
  const verdict = kind === 'hold' ? verdictOfLock(result) : verdictOfUnlock(result)
  io.exitCode = isDone ? verdict.exit : EXIT.tempFail
  if (options.json === true) {
    printJson(io, { ok: io.exitCode === EXIT.ok, lock, account })
    return
  }
  print(io, `${plain(account.dn)}: ${isDone ? verdict.text : 'on record, not yet carried out'}`)
  const effect = kind === 'hold' && isDone ? effectNote(account) : null
  if (effect !== null) print(io, `  ${effect}`)
  if (!isDone && account.standingReason !== '') print(io, `  ${account.standing}: ${plain(account.standingReason)}`)
  const advice = isDone ? '' : adviceFor(account.standingCode ?? account.standing)
  if (advice !== '') print(io, `  Next: ${advice}`)
}

interface Verdict {
  readonly text: string
  readonly exit: number
}

/** Held, whoever's lock it is that keeps the user out; 69 where none does. */
function verdictOfLock({ account }: ActResult): Verdict {
  if (account.standing === 'foreign-lock') {
    const text = 'held, and locked already by somebody else; that lock is left alone, and ours follows when it goes'
    return { text, exit: EXIT.ok }
  }
  if (account.standing === 'not-effective') {
    return {
      text: `the lock is written and keeps nobody out: ${plain(account.standingReason)}`,
      exit: EXIT.unavailable,
    }
  }
  return { text: 'locked', exit: EXIT.ok }
}

/** 69 where the user is still locked out although we did what was asked. */
function verdictOfUnlock({ account, lock }: ActResult): Verdict {
  if (account.holds.length > 0) {
    const names = account.holds.map((hold) => hold.name).join(', ')
    return { text: `still locked: held anew by ${names}`, exit: EXIT.unavailable }
  }
  switch (lock) {
    case 'open':
      return { text: 'unlocked', exit: EXIT.ok }
    case null:
      return { text: 'no hold of ours is left; how it stands in the directory could not be read', exit: EXIT.ok }
    case 'by-us':
    case 'by-others': {
      const text = 'no hold of ours is left, but somebody else’s lock stands: whoever set it has to take it away'
      return { text, exit: EXIT.unavailable }
    }
  }
}
