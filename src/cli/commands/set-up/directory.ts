import { isDeepStrictEqual } from 'node:util'
import type { Command } from 'commander'
import type { Trouble } from '../../../contract/verdict.ts'
import type { DirectoryIdentity } from '../../../core/settings/directory-identity.ts'
import type { DirectoryServers, ServerIdentity } from '../../../app/directory-servers.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { givenReason } from '../../terminal/options.ts'
import { personOf } from '../../process/person.ts'
import { note, plain, printData, printTable, printText } from '../../terminal/output.ts'
import { loadBeside, loadForWork, openStoreFor } from '../../process/settings.ts'

export function register(program: Command, io: CliIo): void {
  const group = program.command('directory').description('which directories Lockstep works with')
  group
    .command('show')
    .description('what each server reports of itself, beside the directory that is on record')
    .argument('[name]', 'only this directory')
    .option('--json', 'print the result as JSON')
    .action(async (name: string | undefined, options: { json?: boolean }, command: Command) => {
      const settings = await loadForWork(command, io, true)
      const { askServers, directoryCalled } = await import('../../../app/directory-servers.ts')
      const wanted = name === undefined ? settings.directories : [directoryCalled(settings, name)]
      await using store = await openStoreFor(settings)
      const found = await Promise.all(wanted.map((each) => askServers(each, store.identities)))
      if (found.some(({ servers }) => servers.some(({ difference }) => difference !== null))) io.exitCode = EXIT.config
      if (options.json === true) printData(io, { directories: found.map(jsonOf) }, troubleOf(io.exitCode))
      else show(io, found)
    })
  group
    .command('accept')
    .description('take the directory that answers now for the one that is meant, after it was set up anew or moved')
    .argument('<name>', 'its name in the configuration')
    .option('--reason <text>', 'why, for the record')
    .option('--json', 'print the result as JSON')
    .action(async (name: string, options: { reason?: string; json?: boolean }, command: Command) => {
      const reason = givenReason(options.reason)
      // The file decides which directory is meant from now on; the daemon may not have loaded it for exactly that
      // reason.
      const { file: settings } = await loadBeside(command, io)
      const { acceptDirectory, directoryCalled } = await import('../../../app/directory-servers.ts')
      await using store = await openStoreFor(settings, true)
      const before = await store.identities.known(directoryCalled(settings, name).name)
      const identity = await acceptDirectory(settings, name, personOf(io), store.identities, reason)
      await store.maintenance.markUnsettled(Date.now())
      const changed = !isDeepStrictEqual(before, identity)
      if (options.json === true) return printData(io, { directory: name, accepted: identity, changed, before })
      const what = changed ? 'is from now on the one' : 'was on record already as the one'
      printText(io, `directory ${name} ${what} with ${plain(words(identity))}`)
      if (changed && before !== null) printText(io, `before: the one with ${plain(words(before))}`)
    })
}

function troubleOf(exit: number): Trouble | null {
  if (exit === EXIT.ok) return null
  const hint = 'If that is meant: lockstep directory accept NAME.'
  return { code: 'directory-changed', message: 'another directory answers than the one on record', hint }
}

function jsonOf({ directory, recorded, servers }: DirectoryServers): unknown {
  const shown = servers.map(({ error, ...server }) => ({
    ...server,
    error: error === null ? null : { code: error.code, message: error.message, hint: error.hint },
  }))
  return { directory, recorded, servers: shown }
}

function show(io: CliIo, found: readonly DirectoryServers[]): void {
  const rows = found.flatMap(({ directory, recorded, servers }) =>
    servers.map((server) => ({ directory, recorded, ...server })),
  )
  printTable(io, rows, [
    { title: 'directory', value: (row) => row.directory },
    { title: 'server', value: (row) => row.url },
    {
      title: 'is',
      value: (row) => (row.identity === null ? (row.error?.message ?? '-') : words(row.identity)),
      movesBelow: true,
    },
    { title: 'on record', value: (row) => recordText(row) },
  ])
  for (const { directory, servers } of found) {
    if (servers.every(({ difference }) => difference === null)) continue
    note(io, `if that is meant: lockstep directory accept ${directory}`)
  }
}

function recordText({
  recorded,
  identity,
  difference,
}: { recorded: unknown } & Pick<ServerIdentity, 'identity' | 'difference'>): string {
  if (difference !== null) return `another: ${difference}`
  if (identity === null) return '-'
  return recorded === null ? 'not yet' : 'the same'
}

function words({ contexts, base, baseId }: DirectoryIdentity): string {
  const held = contexts.length === 0 ? 'contexts that it does not report' : contexts.join('; ')
  return baseId === null ? held : `${held}; ${base} is ${baseId}`
}
