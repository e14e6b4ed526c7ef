import type { Command } from 'commander'
import type { Act } from '../../daemon/act.ts'
import { EXIT } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { print, printJson } from '../output.ts'
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
    .description('hold an account locked, whatever its tokens say')
    .argument('<login>', 'the login, as privacyIDEA knows it')
    .requiredOption('--reason <text>', 'why, for the record')
    .option('--for <duration>', 'release it by itself after so long, as in 2h')
    .option('--realm <realm>', 'where several directories are configured')
    .option('--json', 'print the result as JSON')
    .action((login: string, options: Options, command: Command) => carryOut('hold', login, options, command, io))
  program
    .command('unlock')
    .description('release every hold of an account')
    .argument('<login>', 'the login, as privacyIDEA knows it')
    .requiredOption('--reason <text>', 'why, for the record')
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
  const { account, isDone } = await act(system, order, openLog(io.stderr, false))
  io.exitCode = isDone ? EXIT.ok : EXIT.tempFail
  if (options.json === true) {
    printJson(io, { ok: isDone, account })
    return
  }
  const done =
    kind === 'hold' ? 'locked' : account.lockedByUs || account.standing === 'foreign-lock' ? 'still locked' : 'unlocked'
  print(io, isDone ? `${account.dn}: ${done}` : `${account.dn}: on record, not yet carried out`)
  if (account.standingReason !== '') print(io, `  ${account.standing}: ${account.standingReason}`)
}
