import type { Command } from 'commander'
import type { CliIo } from '../io.ts'
import { print, printJson } from '../output.ts'
import { actorOf } from '../options.ts'
import { loadForWork } from '../settings.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('pause')
    .description('stop all changes at once; events are still taken in')
    .requiredOption('--reason <text>', 'why, for the record; needed')
    .option('--json', 'print the result as JSON')
    .action(async (options: { reason: string; json?: boolean }, command: Command) => {
      const { openStoreOf } = await import('../../daemon/state-store.ts')
      await using store = await openStoreOf(await loadForWork(command, io), true)
      await store.switches.pause(actorOf(io), options.reason)
      if (options.json === true) printJson(io, { paused: true })
      else print(io, 'paused: nothing is written until lockstep resume')
    })
  program
    .command('resume')
    .description('let changes go on after a pause')
    .option('--json', 'print the result as JSON')
    .action(async (options: { json?: boolean }, command: Command) => {
      const { openStoreOf } = await import('../../daemon/state-store.ts')
      await using store = await openStoreOf(await loadForWork(command, io), true)
      await store.switches.resume(actorOf(io))
      if (options.json === true) printJson(io, { paused: false })
      else print(io, 'resumed')
    })
}
