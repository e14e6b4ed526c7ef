import type { Command } from 'commander'
import { EXIT } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { note, print, printJson } from '../output.ts'
import { durationOption } from '../options.ts'
import { loadForWork } from '../settings.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('drain')
    .description(
      'do what waits and end: for cron, or beside a daemon; exit code 75 when something could not be done now',
    )
    .option('--timeout <duration>', 'give up after so long', '30s')
    .option('--json', 'print the result as JSON')
    .action(async (options: { timeout: string; json?: boolean }, command: Command) => {
      const timeoutMs = durationOption('--timeout', options.timeout)
      const settings = await loadForWork(command, io)
      const { openLog } = await import('../../daemon/log.ts')
      const { drain, isAllDone } = await import('../../daemon/drain.ts')
      const report = await drain(settings, { timeoutMs, log: openLog(io.stderr, false) })
      const { eventsWaiting, accountsWaiting, filesWaiting } = report
      const isDone = isAllDone(report)
      io.exitCode = isDone ? EXIT.ok : EXIT.tempFail
      if (options.json === true) {
        printJson(io, { ok: isDone, ...report })
        return
      }
      print(io, `${report.taken} event file${report.taken === 1 ? '' : 's'} taken`)
      if (isDone) print(io, 'nothing waits any more')
      else {
        const files = filesWaiting === 0 ? '' : `, ${filesWaiting} file${filesWaiting === 1 ? '' : 's'} in the spool`
        print(io, `still waiting: ${eventsWaiting} events, ${accountsWaiting} accounts${files}`)
      }
      for (const reason of report.reasons) note(io, `  ${reason}`)
      if (!isDone) note(io, '  lockstep status tells more, and what to do')
    })
}
