import type { Command } from 'commander'
import { AppError, isErrorCode, type ErrorCode } from '../../../core/error.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { durationOption } from '../../terminal/options.ts'
import { note, plain, printData, printText } from '../../terminal/output.ts'
import { loadBeside } from '../../process/settings.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('reload')
    .description(
      'let the daemon load its configuration anew, and wait for the outcome; on a mistake the old one goes on, exit code 78',
    )
    .option('--timeout <duration>', 'wait at most so long', '60s')
    .option('--json', 'print the result as JSON')
    .action(async (options: { timeout: string; json?: boolean }, command: Command) => {
      const timeoutMs = durationOption('--timeout', options.timeout)
      const { file, settings, mistake } = await loadBeside(command, io, true)
      if (mistake !== null) throw goesOn(mistake.code, mistake.message, mistake.hint)
      const { askForReload } = await import('../../../operations/status/ask-for-reload.ts')
      const outcome = await askForReload(settings, timeoutMs)
      if (outcome.is === 'failed') {
        const { code, message, hint } = outcome
        throw goesOn(isErrorCode(code) ? code : 'internal', message, hint)
      }
      const { changed, restart, warnings } = outcome
      io.exitCode = EXIT.ok
      if (options.json === true) return printData(io, { changed, restart, warnings })
      const none = restart.length === 0 ? 'no key was changed' : 'no other key was changed'
      const what = changed.length === 0 ? none : `changed: ${changed.join(', ')}`
      const but = restart.length === 0 ? '' : ', but for what needs a restart'
      printText(io, `the daemon works with ${plain(file.file)} as it is now${but}; ${what}`)
      for (const warning of warnings) note(io, `  ${plain(warning)}`)
      if (restart.length > 0) {
        note(io, `  not yet in effect, needs a restart: ${restart.join(', ')}`)
        note(io, '  Next: systemctl restart lockstep')
      }
    })
}

function goesOn(code: ErrorCode, message: string, hint: string): AppError {
  return new AppError(code, `the daemon goes on with its old configuration: ${message}`, { hint })
}
