import type { Command } from 'commander'
import { healthText } from '../../../core/health/health.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { plain, print, printData } from '../../terminal/output.ts'
import { durationOption } from '../../terminal/options.ts'
import { loadForWork } from '../../process/settings.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('healthcheck')
    .description('exit 0 when the daemon serves this configuration and can do its work on this machine, else 69')
    .option('--wait <duration>', 'wait for it at most so long', '0s')
    .option('--json', 'print the result as JSON')
    .action(async (options: { wait: string; json?: boolean }, command: Command) => {
      const waitMs = durationOption('--wait', options.wait)
      const settings = await loadForWork(command, io, true)
      const { healthcheck } = await import('../../../operations/status/healthcheck.ts')
      const { daemon, unfit } = await healthcheck(settings, waitMs)
      const isFit = daemon !== null && unfit.length === 0
      io.exitCode = isFit ? EXIT.ok : EXIT.unavailable
      const unfitText =
        daemon === null
          ? 'no daemon serves this store'
          : `not fit: ${unfit.map((reason) => plain(healthText(reason))).join('; ')}`
      const reasons = unfit.map((reason) => ({ ...reason, text: healthText(reason) }))
      const trouble = { code: 'not-fit', message: unfitText, hint: 'lockstep status shows more.' } as const
      const data = { serving: isFit, pid: daemon?.pid ?? null, reasons }
      if (options.json === true) printData(io, data, isFit ? null : trouble)
      else print(io, isFit ? `the daemon serves, process ${daemon.pid}` : unfitText)
    })
}
