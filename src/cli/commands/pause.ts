import type { Command } from 'commander'
import type { CliIo } from '../io.ts'
import { moment } from '../moment.ts'
import { counted, plain, print, printJson } from '../output.ts'
import { actorOf, reasonOption } from '../options.ts'
import { loadForWork } from '../settings.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('pause')
    .description('stop all changes at once; events are still taken in')
    .requiredOption('--reason <text>', 'why, for the record; needed')
    .option('--json', 'print the result as JSON')
    .action(async (options: { reason: string; json?: boolean }, command: Command) => {
      const reason = reasonOption(options.reason)
      const { openStoreOf } = await import('../../daemon/state-store.ts')
      await using store = await openStoreOf(await loadForWork(command, io), true)
      const before = await store.switches.pause(actorOf(io), reason)
      if (options.json === true) printJson(io, { paused: true, changed: before === null })
      else if (before === null) print(io, 'paused: nothing is written until lockstep resume')
      else print(io, `paused already, since ${moment(before.sinceMs)} by ${plain(before.by)}: ${plain(before.reason)}`)
    })
  program
    .command('resume')
    .description('let changes go on after a pause')
    .option('--json', 'print the result as JSON')
    .action(async (options: { json?: boolean }, command: Command) => {
      const { openStoreOf } = await import('../../daemon/state-store.ts')
      await using store = await openStoreOf(await loadForWork(command, io), true)
      const accounts = await store.switches.resume(actorOf(io))
      const isServed = (await store.processLock.daemon()) !== null
      if (options.json === true) printJson(io, { paused: false, changed: accounts !== null, accounts: accounts ?? 0 })
      else if (accounts === null) print(io, 'nothing was paused')
      else
        print(
          io,
          `resumed: ${counted(accounts, 'account')} had waited${isServed || accounts === 0 ? '' : '; run lockstep drain'}`,
        )
    })
}
