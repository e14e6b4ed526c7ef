import { counted } from '../../core/format/counted.ts'
import type { Command } from 'commander'
import { AppError } from '../../core/error.ts'
import { reasonText } from '../../core/reasons/reason.ts'
import type { AdoptionAction, AdoptionReport } from '../../operations/accounts/adopt.ts'
import { EXIT } from '../terminal/exit.ts'
import type { CliIo } from '../terminal/io.ts'
import { personOf } from '../process/person.ts'
import { troubleOfLeft } from '../texts/left-alone.ts'
import { note, plain, printData, printTable, printText } from '../terminal/output.ts'
import { resyncProgress } from '../texts/resync-progress.ts'
import { loadForWork } from '../process/settings.ts'
import type { Flags } from '../terminal/options.ts'

/** `lockstep resync --adopt`. */

/** Rows that the table shows; JSON holds up to 10,000. */
const ROWS_MAX = 200

type Options = Flags<'dryRun' | 'acceptDrop' | 'yes' | 'json'>

const ACTIONS: Readonly<Record<AdoptionAction, string>> = {
  remove: 'remove the serial',
  unlock: 'unlock',
  'take-over': 'unlock when nothing holds it any more',
  leave: 'none: unlock it by hand',
}

export async function runAdoption(options: Options, command: Command, io: CliIo): Promise<void> {
  const isDone = options.yes === true
  if (options.dryRun === true && isDone) throw new AppError('usage', '--dry-run and --yes contradict each other')
  const settings = await loadForWork(command, io, !isDone)
  const { adopt } = await import('../../operations/accounts/adopt.ts')
  const { openLog } = await import('../../app/log.ts')
  const report = await (async () => {
    using shown = resyncProgress(io, () => performance.now())
    return await adopt(settings, {
      by: isDone ? personOf(io) : null,
      log: openLog(io.stderr, false),
      onProgress: (step) => shown.step(step),
    })
  })()
  if (report.left.length > 0) io.exitCode = EXIT.tempFail
  const { done, ...data } = report
  if (options.json === true) printData(io, { ...data, isDone: done !== null }, troubleOfLeft(report.left))
  else show(io, report)
}

function show(io: CliIo, { rows, isOtherSource, left, done }: AdoptionReport): void {
  if (rows.length > 0) {
    printTable(io, rows.slice(0, ROWS_MAX), [
      { title: 'account', value: (row) => row.account, movesBelow: true },
      { title: 'serial', value: (row) => row.serial ?? '-' },
      { title: done === null ? 'would be done' : 'done', value: (row) => ACTIONS[row.action] },
      { title: 'why', value: (row) => reasonText(row.why) },
    ])
  }
  if (rows.length > ROWS_MAX) note(io, `and ${rows.length - ROWS_MAX} more (--json lists up to 10,000)`)
  for (const { directory, reason } of left) {
    note(io, `lockstep: directory ${directory} was left alone: ${plain(reason)}`)
  }
  if (isOtherSource) {
    const what = 'another privacyIDEA answers than the one on record'
    printText(io, done === null ? `${what}; --yes accepts it` : `${what}; it was accepted`)
  }
  const count = (action: AdoptionAction): number => rows.filter((row) => row.action === action).length
  const what = `${counted(count('remove'), 'serial')} to remove, ${counted(count('unlock'), 'account')} to unlock, ${counted(count('take-over'), 'lock')} to take over`
  if (rows.length === 0 && !isOtherSource) printText(io, 'there is nothing to adopt')
  else if (done !== null) printText(io, `${what}: adopted; lockstep status shows what could not be carried out yet`)
  else printText(io, `${what}; nothing was changed. To do it: lockstep resync --adopt --yes`)
}
