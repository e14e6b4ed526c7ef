import { counted } from '../../../core/format/counted.ts'
import type { Command } from 'commander'
import type { Trouble } from '../../../contract/verdict.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { note, printData, progress, printText } from '../../terminal/output.ts'
import { loadForWork, openSystemFor } from '../../process/settings.ts'

const NOT_ALL_READ: Trouble = {
  code: 'not-all-read',
  message: 'some of it could not be taken in; problems lists what, and why',
  hint: 'All else was restored. Next: lockstep drain, then lockstep status.',
}

export function register(program: Command, io: CliIo): void {
  program
    .command('rebuild')
    .description('restore holds and serials from the LDIF folders and the directory, after the store was lost')
    .option('--json', 'print the result as JSON')
    .action(async (options: { json?: boolean }, command: Command) => {
      const settings = await loadForWork(command, io)
      const { keepDaemonsOut, rebuild } = await import('../../../operations/rebuild/rebuild.ts')
      await using system = await openSystemFor(settings)
      await keepDaemonsOut(system)
      try {
        using line = progress(io)
        const report = await rebuild(system, (accounts) => line.step(`${counted(accounts, 'account')} restored`))
        io.exitCode = report.problems.length === 0 ? EXIT.ok : EXIT.dataError
        if (options.json === true) printData(io, report, report.problems.length === 0 ? null : NOT_ALL_READ)
        else {
          const restored = `${counted(report.serials, 'serial')}, ${counted(report.holds, 'hold')} restored`
          printText(io, `${counted(report.accounts, 'account')}: ${restored}`)
          if (report.appliedByHand > 0) printText(io, `${report.appliedByHand} unlock files had been applied by hand`)
          const kept = report.leftAlone.length
          if (kept > 0) printText(io, `${kept} unlock files were kept, and nothing was restored from them; see below`)
          const others = report.lockedByOthers.length
          const how = '--json lists them; lockstep unlock LOGIN --adopt takes over one that is ours'
          if (others > 0)
            printText(io, `${counted(others, 'account')} locked, which no file claims: left alone (${how})`)
          const serials = counted(report.serialsOfOthers, 'serial')
          if (report.serialsOfOthers > 0) printText(io, `${serials} in the directory that no file claims: left alone`)
          for (const problem of report.problems) note(io, `  ${problem}`)
          printText(io, 'Next: lockstep drain (or serve), then lockstep status')
        }
      } finally {
        await system.store.processLock.resign()
      }
    })
}
