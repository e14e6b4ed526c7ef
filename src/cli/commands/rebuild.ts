import type { Command } from 'commander'
import { EXIT } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { note, print, printJson, progress } from '../output.ts'
import { loadForWork } from '../settings.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('rebuild')
    .description('restore holds and serials from the LDIF folders and the directory, after the store was lost')
    .option('--json', 'print the result as JSON')
    .action(async (options: { json?: boolean }, command: Command) => {
      const settings = await loadForWork(command, io)
      const { openSystem } = await import('../../daemon/system.ts')
      const { rebuild } = await import('../../daemon/rebuild.ts')
      await using system = await openSystem(settings)
      await system.store.processLock.becomeDaemon()
      try {
        using line = progress(io)
        const report = await rebuild(system, (accounts) => line.step(`${accounts} accounts restored`))
        io.exitCode = report.problems.length === 0 ? EXIT.ok : EXIT.dataError
        if (options.json === true) printJson(io, report)
        else {
          print(io, `${report.accounts} accounts: ${report.serials} serials, ${report.holds} holds restored`)
          if (report.appliedByHand > 0) print(io, `${report.appliedByHand} unlock files had been applied by hand`)
          const kept = report.leftAlone.length
          if (kept > 0) print(io, `${kept} unlock files were kept, and nothing was restored from them; see below`)
          const others = report.lockedByOthers.length
          if (others > 0)
            print(io, `${others} accounts are locked and no file claims it: left alone (--json lists them)`)
          for (const problem of report.problems) note(io, `  ${problem}`)
          print(io, 'Next: lockstep drain (or serve), then lockstep status')
        }
      } finally {
        await system.store.processLock.resign()
      }
    })
}
