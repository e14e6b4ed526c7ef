import type { Command } from 'commander'
import { EXIT } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { print, printJson } from '../output.ts'
import { durationOption } from '../options.ts'
import { loadForWork } from '../settings.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('healthcheck')
    .description('exit 0 when the daemon serves this configuration, else 69')
    .option('--wait <duration>', 'wait for it at most so long', '0s')
    .option('--json', 'print the result as JSON')
    .action(async (options: { wait: string; json?: boolean }, command: Command) => {
      const waitMs = durationOption('--wait', options.wait)
      const settings = await loadForWork(command, io)
      const { healthcheck } = await import('../../daemon/healthcheck.ts')
      const daemon = await healthcheck(settings, waitMs)
      io.exitCode = daemon === null ? EXIT.unavailable : EXIT.ok
      if (options.json === true) printJson(io, { serving: daemon !== null, pid: daemon?.pid ?? null })
      else print(io, daemon === null ? 'no daemon serves this store' : `the daemon serves, process ${daemon.pid}`)
    })
}
