import { counted } from '../../../core/format/counted.ts'
import type { Command } from 'commander'
import type { CliIo } from '../../terminal/io.ts'
import { printData, printText } from '../../terminal/output.ts'
import { loadForWork, openStoreFor } from '../../process/settings.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('retry')
    .description('try again now what waits or failed: unresolved events, and accounts that are not in sync')
    .option('--json', 'print the result as JSON')
    .action(async (options: { json?: boolean }, command: Command) => {
      await using store = await openStoreFor(await loadForWork(command, io, true), true)
      const nowMs = Date.now()
      const events = await store.maintenance.retryWaiting(nowMs)
      const accounts = await store.maintenance.markUnsettled(nowMs)
      const daemon = await store.processLock.daemon()
      if (options.json === true) printData(io, { events, accounts, daemon: daemon !== null })
      else {
        const next = daemon === null ? '; run lockstep drain' : ''
        printText(io, `due again: ${counted(events, 'event')}, ${counted(accounts, 'account')}${next}`)
      }
    })
}
