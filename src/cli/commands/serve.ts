import type { Command } from 'commander'
import type { CliIo } from '../io.ts'
import { loadForWork } from '../settings.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('serve')
    .description('run the daemon in the foreground; SIGTERM or Ctrl-C ends it cleanly')
    .action(async (_options: unknown, command: Command) => {
      const settings = await loadForWork(command, io)
      const { openLog } = await import('../../daemon/log.ts')
      const { serve } = await import('../../daemon/serve.ts')
      const stop = new AbortController()
      const onSignal = (): void => stop.abort()
      process.once('SIGTERM', onSignal).once('SIGINT', onSignal)
      try {
        const log = openLog(io.stderr, (io.env['LOCKSTEP_LOG_TIME'] ?? '') !== '')
        await serve(settings, { log, env: process.env, stop: stop.signal })
      } finally {
        process.off('SIGTERM', onSignal).off('SIGINT', onSignal)
      }
    })
}
