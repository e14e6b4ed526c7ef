import type { Command } from 'commander'
import type { Trouble } from '../../../contract/verdict.ts'
import { skippedText } from '../../../core/account/undo.ts'
import { AppError } from '../../../core/error.ts'
import type { System } from '../../../app/system.ts'
import type { UndoPlan, UndoStep } from '../../../operations/accounts/undo.ts'
import type { AccountReport } from '../../../store/reports/reports.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { note, plain, printData, printTable, printText } from '../../terminal/output.ts'
import { givenReason, momentOption, type Flags, type Given, type Texts } from '../../terminal/options.ts'
import { personOf } from '../../process/person.ts'
import { errorLog, loadForWork, openSystemFor } from '../../process/settings.ts'
import { exactMoment } from '../../terminal/moment.ts'

type Options = Given<'since'> & Texts<'until' | 'reason'> & Flags<'yes' | 'json'>

export function register(program: Command, io: CliIo): void {
  program
    .command('undo')
    .description('show, and with --yes revert, what Lockstep changed within a time; only what is still ours')
    .requiredOption(
      '--since <time>',
      "from then on: 14:32, '24 Nov 14:32', 2026-11-24T10:00Z, or an age such as 2h; needed",
    )
    .option('--until <time>', 'up to then, with the whole of that minute or second; else now')
    .option('--yes', 'do it')
    .option('--reason <text>', 'why, for the record')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options, command: Command) => {
      const sinceMs = momentOption('--since', options.since)
      const untilMs = options.until === undefined ? Date.now() : momentOption('--until', options.until, 'end')
      if (untilMs < sinceMs) {
        const end = options.until === undefined ? 'now' : `--until ${options.until}`
        throw new AppError('usage', `--since ${options.since} is after ${end}`)
      }
      const reason = givenReason(options.reason)
      const settings = await loadForWork(command, io, options.yes !== true)
      const { planUndo } = await import('../../../operations/accounts/undo.ts')
      await using system = await openSystemFor(settings)
      const plan = await planUndo(system, sinceMs, untilMs, { actor: personOf(io), reason })
      if (options.json !== true) show(io, plan.steps)
      const waiting = options.yes === true ? await apply(system, plan, io) : []
      const isDone = waiting.length === 0
      io.exitCode = isDone ? EXIT.ok : EXIT.tempFail
      const data = { applied: options.yes === true, steps: plan.steps.map(stepJson), waiting }
      if (options.json === true) printData(io, data, isDone ? null : NOT_DONE)
      else report(io, plan, options.yes === true, waiting)
    })
}

const NOT_DONE: Trouble = {
  code: 'not-done-yet',
  message: 'some of it is on record, and could not be carried out yet',
  hint: 'lockstep status shows more, and what to do.',
}

/** The planned end of a person's holds is shown as an instant. */
function stepJson({ change, skipped, ...step }: UndoStep): object {
  const { ends, ...rest } = change
  const ending = Object.entries(ends).map(([name, us]) => [name, new Date(Math.ceil(us / 1000)).toISOString()])
  const shown = skipped === null ? null : { ...skipped, text: skippedText(skipped) }
  return { ...step, skipped: shown, change: { ...rest, ends: Object.fromEntries(ending) as object } }
}

async function apply(system: System, plan: UndoPlan, io: CliIo): Promise<AccountReport[]> {
  const { applyUndo } = await import('../../../operations/accounts/undo.ts')
  return applyUndo(system, plan, await errorLog(io))
}

function report(io: CliIo, { steps }: UndoPlan, isApplied: boolean, waiting: readonly AccountReport[]): void {
  const count = steps.filter((step) => step.skipped === null).length
  if (count === 0) return steps.length > 0 ? printText(io, 'There is nothing to revert.') : undefined
  if (!isApplied) return printText(io, 'Nothing was changed. With --yes it is done.')
  printText(io, `${count} reverted; lockstep show shows the status of each account`)
  for (const { dn, standing, standingReason } of waiting) {
    note(io, `  ${plain(dn)}: on record, not yet carried out (${plain(standingReason || standing)})`)
  }
}

function show(io: CliIo, steps: readonly UndoStep[]): void {
  if (steps.length === 0) return printText(io, 'nothing was changed within that time')
  printTable(io, steps, [
    { title: 'changed', value: (step) => exactMoment(step.change.plannedMs), align: 'right' },
    { title: 'account', value: (step) => step.dn, movesBelow: true },
    { title: 'was', value: (step) => `${step.change.kind} ${step.change.serial ?? ''}`.trim() },
    { title: 'undo', value: undoText, movesBelow: true },
  ])
}

function undoText({ action, holds, skipped }: UndoStep): string {
  if (skipped !== null) return `left alone: ${skippedText(skipped)}`
  return action === 'lock' ? `lock again, hold ${holds.join(' ')}` : action
}
