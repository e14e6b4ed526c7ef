import { counted } from '../../../core/format/counted.ts'
import type { Command } from 'commander'
import type { Trouble } from '../../../contract/verdict.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { note, printData, printText } from '../../terminal/output.ts'
import { durationOption } from '../../terminal/options.ts'
import { loadForWork } from '../../process/settings.ts'

const NOT_DONE: Trouble = {
  code: 'not-done-yet',
  message: 'something could not be done now',
  hint: 'lockstep status shows more, and what to do.',
}

export function register(program: Command, io: CliIo): void {
  program
    .command('drain')
    .description(
      'do what waits and end: for cron, or beside a daemon; exit code 75 when something could not be done now',
    )
    .option('--timeout <duration>', 'give up after so long', '30s')
    .option('--json', 'print the result as JSON')
    .option('--log', 'write a line for each lock, unlock and serial to standard error, as the daemon does in its log')
    .action(async (options: { timeout: string; json?: boolean; log?: boolean }, command: Command) => {
      const timeoutMs = durationOption('--timeout', options.timeout)
      const settings = await loadForWork(command, io)
      const { openLog } = await import('../../../app/log.ts')
      const { drain, isAllDone } = await import('../../../daemon/drain.ts')
      const { refuseMistakesAtStart } = await import('../../../daemon/reload/refuse-mistakes.ts')
      await refuseMistakesAtStart(settings, io.env)
      const log = openLog(io.stderr, false)
      log.use(settings.log)
      const report = await drain(settings, { timeoutMs, log, logsAccounts: options.log === true })
      const { eventsWaiting, accountsWaiting, filesWaiting } = report
      const isDone = isAllDone(report)
      io.exitCode = isDone ? EXIT.ok : EXIT.tempFail
      if (options.json === true) return printData(io, report, isDone ? null : NOT_DONE)
      printText(io, `${counted(report.taken, 'event file')} taken`)
      if (isDone) printText(io, 'nothing waits any more')
      else {
        const files = filesWaiting === 0 ? '' : `, ${counted(filesWaiting, 'file')} in the spool`
        const rest = `${counted(eventsWaiting, 'event')}, ${counted(accountsWaiting, 'account')}${files}`
        printText(io, `still waiting: ${rest}`)
        if (report.sourceUnread !== null)
          printText(io, 'privacyIDEA was not read: what happened there without an event is not known')
      }
      for (const { text } of report.reasons) note(io, `  ${text}`)
      if (!isDone) note(io, '  lockstep status shows more, and what to do')
    })
}
