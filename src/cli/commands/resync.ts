import type { Command } from 'commander'
import type { CliIo } from '../io.ts'
import { note, print, printJson, printTable, progress } from '../output.ts'
import { loadForWork } from '../settings.ts'

/** Rows of drift that a table shows; JSON holds up to 10,000. */
const ROWS_MAX = 200

export function register(program: Command, io: CliIo): void {
  program
    .command('resync')
    .description('compare all of privacyIDEA’s tokens and all marked accounts with the record, and repair what differs')
    .option('--dry-run', 'show what differs, and change nothing')
    .option('--json', 'print the result as JSON')
    .action(async (options: { dryRun?: boolean; json?: boolean }, command: Command) => {
      const settings = await loadForWork(command, io)
      const { resyncOnce } = await import('../../daemon/resync-once.ts')
      const { openLog } = await import('../../daemon/log.ts')
      const isDryRun = options.dryRun === true
      const startedMs = performance.now()
      using line = progress(io)
      const report = await resyncOnce(settings, {
        isDryRun,
        log: openLog(io.stderr, false),
        onProgress: ({ tokens, tokensInAll, accounts }) => {
          const perSecond = (tokens * 1000) / (performance.now() - startedMs)
          const leftS = perSecond > 0 ? Math.ceil((tokensInAll - tokens) / perSecond) : 0
          const rate = `${Math.round(perSecond)}/s, ${leftS} s left`
          line.step(accounts === 0 ? `${tokens} of ${tokensInAll} tokens, ${rate}` : `${accounts} accounts compared`)
        },
      })
      if (options.json === true) return printJson(io, { ...report, dryRun: isDryRun })
      if (report.drift.length > 0) {
        printTable(io, report.drift.slice(0, ROWS_MAX), [
          { title: 'account', value: (drift) => drift.account, shrinks: true },
          { title: 'serial', value: (drift) => drift.serial },
          { title: 'now', value: (drift) => drift.now },
          { title: 'should be', value: (drift) => drift.should },
          { title: 'why', value: (drift) => drift.why },
        ])
      }
      const left = report.differences - Math.min(report.drift.length, ROWS_MAX)
      if (left > 0) note(io, `and ${left} more (--json lists up to 10,000)`)
      const what = `${report.tokens} tokens and ${report.accounts} marked accounts compared, ${report.differences} differ`
      print(io, isDryRun && report.differences > 0 ? `${what}; nothing was changed (dry run)` : what)
    })
}
