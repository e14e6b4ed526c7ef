import type { Command } from 'commander'
import { AppError } from '../../../core/error.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { plainLines, printData, printError, printText } from '../../terminal/output.ts'
import { loadBeside, openStoreFor } from '../../process/settings.ts'
import { statusJson } from '../../texts/status-json.ts'
import { showStatus } from '../../texts/status-text.ts'
import type { Flags, Texts } from '../../terminal/options.ts'

type Options = Flags<'check' | 'json'> & Texts<'healthFile'> & { readonly watch?: string | true }

export function register(program: Command, io: CliIo): void {
  program
    .command('status')
    .description('health, queue, locked accounts, and what waits and why')
    .option(
      '--check',
      'one line for monitoring, for any user: ends with 0 (ok), 1 (warning), 2 (critical) or 3 (unknown)',
    )
    .option(
      '--health-file <file>',
      'with --check: the file to read (else the key health.file, else /run/lockstep/health)',
    )
    .option(
      '--watch [interval]',
      'again and again (every 2s, or as given), until Ctrl-C; through a pipe one block after the other, with --json one line each time',
    )
    .option('--json', 'print the result as JSON')
    .action(async (options: Options, command: Command) => {
      if (options.check === true) {
        if (options.watch !== undefined) throw new AppError('usage', '--check looks once: leave out --watch')
        const { runStatusCheck } = await import('../../flows/status-check.ts')
        return runStatusCheck(options, command, io)
      }
      const show = (each: CliIo): Promise<void> => showOnce(each, options, command)
      if (options.watch === undefined) return show(io)
      const { intervalOption, watchStatus } = await import('../../flows/status-watch.ts')
      const isJson = options.json === true
      const showFailure = (each: CliIo, { code, message, hint }: AppError): void => {
        if (isJson) printError(each, { code, message, hint })
        else printText(each, plainLines(`${message}${hint === '' ? '' : `\n  ${hint}`}\nIt is looked at again.`))
      }
      await watchStatus(io, { intervalMs: intervalOption(options.watch), isJson, show, showFailure })
    })
}

async function showOnce(io: CliIo, options: Options, command: Command): Promise<void> {
  const { file, settings, mistake } = await loadBeside(command, io, true)
  const { readStatus } = await import('../../../operations/status/status.ts')
  await using store = await openStoreFor(settings)
  const status = await readStatus(file, store, mistake?.message ?? null)
  io.exitCode = EXIT.ok
  if (options.json === true) printData(io, statusJson(status))
  else showStatus(io, status)
}
