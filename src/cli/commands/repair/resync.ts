import { counted } from '../../../core/format/counted.ts'
import type { Command } from 'commander'
import type { ResyncReport } from '../../../reconcile/source/resync-ports.ts'
import { AppError } from '../../../core/error.ts'
import { reasonText } from '../../../core/reasons/reason.ts'
import { runAdoption } from '../../flows/adoption.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { troubleOfLeft } from '../../texts/left-alone.ts'
import { note, plain, printData, printTable, printText } from '../../terminal/output.ts'
import { resyncProgress } from '../../texts/resync-progress.ts'
import { loadForWork } from '../../process/settings.ts'
import type { Flags } from '../../terminal/options.ts'

/** Rows of drift that a table shows; JSON holds up to 10,000. */
const ROWS_MAX = 200

type Options = Flags<'dryRun' | 'acceptDrop' | 'adopt' | 'yes' | 'json'>

export function register(program: Command, io: CliIo): void {
  program
    .command('resync')
    .description("compare all of privacyIDEA's tokens and all marked accounts with the record, and repair what differs")
    .option('--dry-run', 'show what differs, and change nothing')
    .option(
      '--accept-drop',
      'this once, accept that tokens which privacyIDEA does not show are gone: beyond resync.shrinkLimit, of resolvers that are gone, and past guards.lossBreaker',
    )
    .option(
      '--adopt',
      'list the serials and locks in the directories that Lockstep neither wrote nor adopted and that nothing explains',
    )
    .option('--yes', 'with --adopt: remove these serials, and release these locks')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options, command: Command) => {
      if (options.adopt === true) return runAdoption(options, command, io)
      if (options.yes === true) throw new AppError('usage', '--yes belongs to --adopt')
      const settings = await loadForWork(command, io, options.dryRun === true)
      const { resyncOnce } = await import('../../../operations/accounts/resync-once.ts')
      const { openLog } = await import('../../../app/log.ts')
      const isDryRun = options.dryRun === true
      const report = await (async () => {
        using shown = resyncProgress(io, () => performance.now())
        return await resyncOnce(settings, {
          isDryRun,
          acceptsDrop: options.acceptDrop === true,
          log: openLog(io.stderr, false),
          onProgress: (step) => shown.step(step),
        })
      })()
      if (report.left.length > 0) io.exitCode = EXIT.tempFail
      if (options.json === true) printData(io, { ...report, dryRun: isDryRun }, troubleOfLeft(report.left))
      else show(io, report, isDryRun)
    })
}

function show(io: CliIo, report: ResyncReport, isDryRun: boolean): void {
  if (report.drift.length > 0) {
    printTable(io, report.drift.slice(0, ROWS_MAX), [
      { title: 'account', value: (drift) => drift.account, movesBelow: true },
      { title: 'serial', value: (drift) => drift.serial ?? '-' },
      { title: 'now', value: (drift) => drift.now },
      { title: 'should be', value: (drift) => drift.should },
      { title: 'why', value: (drift) => reasonText(drift.why) },
    ])
  }
  const more = report.differences - Math.min(report.drift.length, ROWS_MAX)
  if (more > 0) note(io, `and ${more} more (--json lists up to 10,000)`)
  for (const { directory, reason } of report.left) {
    note(io, `lockstep: directory ${directory} was left alone: ${plain(reason)}`)
  }
  const what = `${counted(report.tokens, 'token')} and ${counted(report.accounts, 'marked account')} compared, ${report.differences} differ`
  printText(io, isDryRun && report.differences > 0 ? `${what}; nothing was changed (dry run)` : what)
}
