import type { Command } from 'commander'
import type { UndoStep } from '../../daemon/undo.ts'
import type { CliIo } from '../io.ts'
import { print, printJson, printTable } from '../output.ts'
import { actorOf, momentOption } from '../options.ts'
import { loadForWork } from '../settings.ts'
import { moment } from '../moment.ts'

interface Options {
  readonly since: string
  readonly until?: string
  readonly yes?: boolean
  readonly json?: boolean
}

export function register(program: Command, io: CliIo): void {
  program
    .command('undo')
    .description('show, and with --yes take back, what Lockstep changed within a time; only what is still ours')
    .requiredOption('--since <time>', 'from then on: 2026-11-24T10:00Z, or an age such as 2h; needed')
    .option('--until <time>', 'up to then; else now')
    .option('--yes', 'do it')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options, command: Command) => {
      const sinceMs = momentOption('--since', options.since)
      const untilMs = options.until === undefined ? Date.now() : momentOption('--until', options.until)
      const settings = await loadForWork(command, io)
      const { openSystem } = await import('../../daemon/system.ts')
      const { applyUndo, planUndo } = await import('../../daemon/undo.ts')
      await using system = await openSystem(settings)
      const steps = await planUndo(system, sinceMs, untilMs)
      if (options.json !== true) show(io, steps)
      let told = 0
      if (options.yes === true) {
        const { openLog } = await import('../../daemon/log.ts')
        told = await applyUndo(system, steps, actorOf(io), openLog(io.stderr, false))
      }
      if (options.json === true) printJson(io, { applied: options.yes === true, steps })
      else if (options.yes === true) print(io, `${told} taken back; lockstep show tells how each account stands`)
      else if (steps.some((step) => step.skipped === null)) print(io, 'Nothing was changed. With --yes it is done.')
    })
}

function show(io: CliIo, steps: readonly UndoStep[]): void {
  if (steps.length === 0) {
    print(io, 'nothing was changed within that time')
    return
  }
  printTable(io, steps, [
    { title: 'changed', value: (step) => moment(step.change.plannedMs) },
    { title: 'account', value: (step) => step.dn, shrinks: true },
    { title: 'was', value: (step) => `${step.change.kind} ${step.change.serial ?? ''}`.trim() },
    { title: 'undo', value: (step) => (step.skipped === null ? step.action : `left alone: ${step.skipped}`) },
  ])
}
