import type { Command } from 'commander'
import { Hangups } from '../../../daemon/hangups.ts'
import type { CliIo } from '../../terminal/io.ts'
import { loadSettings } from '../../process/settings.ts'
import { becomeOwnerOf } from '../../process/state-owner.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('serve')
    .description(
      'run the daemon in the foreground; SIGTERM or Ctrl-C ends it cleanly, SIGHUP reloads the configuration',
    )
    .action(async (_options: unknown, command: Command) => {
      const hangups = new Hangups()
      // Kept to the very end: a SIGHUP never ends the daemon, also not while it starts or stops (lockstep.ts has the
      // first one).
      process.on('SIGHUP', () => hangups.raise())
      const settings = await loadSettings(command, io)
      becomeOwnerOf(settings)
      const { openLog } = await import('../../../app/log.ts')
      const { refuseMistakesAtStart } = await import('../../../daemon/reload/refuse-mistakes.ts')
      const { loadConfig } = await import('../../../config/load.ts')
      const { serve } = await import('../../../daemon/serve.ts')
      const { limitStop } = await import('../../../daemon/stop-limit.ts')
      const stop = new AbortController()
      const onSignal = (): void => stop.abort()
      process.once('SIGTERM', onSignal).once('SIGINT', onSignal)
      try {
        const log = openLog(io.stderr, (io.env['LOCKSTEP_LOG_TIME'] ?? '') !== '')
        log.use(settings.log)
        limitStop(stop.signal, log)
        await refuseMistakesAtStart(settings, io.env)
        const load = () => loadConfig({ flag: settings.file, env: io.env, cwd: io.cwd })
        await serve(settings, { log, env: process.env, stop: stop.signal, hangups, load })
      } finally {
        process.off('SIGTERM', onSignal).off('SIGINT', onSignal)
      }
    })
}
