import type { Command } from 'commander'
import { AppError } from '../../core/error.ts'
import type { Act, ActResult } from '../../daemon/act.ts'
import { EXIT } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { moment } from '../moment.ts'
import { plain, print, printJson } from '../output.ts'
import { actorOf, durationOption, reasonOption } from '../options.ts'
import { loadForWork } from '../settings.ts'

interface Options {
  readonly reason: string
  readonly realm?: string
  readonly for?: string
  readonly json?: boolean
}

/** The time that a lock takes must not be all of it. */
const FOR_MS_MIN = 1_000

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
  if (forMs !== null && forMs < FOR_MS_MIN) throw new AppError('usage', `--for ${options.for}: expected at least 1s`)
  const reason = reasonOption(options.reason)
  const settings = await loadForWork(command, io)
  const { errorsOnly, openLog } = await import('../../daemon/log.ts')
  const { openSystem } = await import('../../daemon/system.ts')
  const { act } = await import('../../daemon/act.ts')
  await using system = await openSystem(settings)
  const order: Act = { kind, login, realm: options.realm ?? null, reason, actor: actorOf(io), forMs }
  const result = await act(system, order, errorsOnly(openLog(io.stderr, false)))
  const { account, isDone, lock } = result
  io.exitCode = isDone ? EXIT.ok : account.standing === 'protected' ? EXIT.noPermission : EXIT.tempFail
  if (options.json === true) {
    printJson(io, { ok: isDone, lock, account })
    return
  }
  print(io, `${plain(account.dn)}: ${kind === 'hold' ? afterHold(result) : afterRelease(result)}`)
  if (account.standingReason !== '') print(io, `  ${plain(account.standingReason)}`)
}

function afterHold({ account, isDone, lock }: ActResult): string {
  if (account.standing === 'protected') return 'not locked; the hold stays on record until lockstep unlock'
  if (!isDone) return 'on record, not yet carried out'
  if (lock === 'others') return 'locked by somebody else; our hold is on record beside that'
  if (account.standing === 'not-effective') return 'the lock is written, and keeps nobody out'
  const ends = account.holds.flatMap(({ untilMs }) => untilMs ?? [])
  if (ends.length < account.holds.length || ends.length === 0) return 'locked'
  return `locked until ${moment(Math.max(...ends))}`
}

function afterRelease({ account, isDone, lock, wasHeld }: ActResult): string {
  if (!isDone) return 'on record, not yet carried out'
  if (account.lockedByUs || account.holds.length > 0) return 'still locked'
  if (lock === 'others') return 'still locked, by somebody else: that lock is left alone'
  if (lock === 'unknown') return 'no hold is left; the directory could not be asked'
  return wasHeld ? 'unlocked' : 'was not locked'
}
