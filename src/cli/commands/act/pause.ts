import { counted } from '../../../core/format/counted.ts'
import type { Command } from 'commander'
import { AppError } from '../../../core/error.ts'
import { directoryPhrase, type Pause } from '../../../core/guards/guard.ts'
import type { DirectoryName } from '../../../core/names.ts'
import type { Settings } from '../../../core/settings/settings.ts'
import type { CliIo } from '../../terminal/io.ts'
import { moment } from '../../terminal/moment.ts'
import { plain, printData, printText } from '../../terminal/output.ts'
import { reasonOption } from '../../terminal/options.ts'
import { personOf } from '../../process/person.ts'
import { loadForWork, openStoreFor } from '../../process/settings.ts'
import { pauseJson } from '../../texts/status-json.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('pause')
    .description('stop all changes at once, or those of one directory; events are still taken in')
    .requiredOption('--reason <text>', 'why, for the record; needed')
    .option('--directory <name>', 'only the changes of this directory')
    .option('--json', 'print the result as JSON')
    .action(async (options: { reason: string; directory?: string; json?: boolean }, command: Command) => {
      const reason = reasonOption(options.reason)
      const actor = personOf(io)
      const settings = await loadForWork(command, io, true)
      const directory = directoryOption(settings, options.directory)
      await using store = await openStoreFor(settings, true)
      const before = await store.switches.pause(directory, actor, reason)
      const what = directoryPhrase(directory)
      if (options.json === true) {
        const inForce = before === null ? null : pauseJson(before)
        printData(io, { paused: true, changed: before === null, directory, before: inForce })
      } else if (before === null) printText(io, `paused${what}: nothing is written until lockstep resume`)
      else printText(io, `paused${what} already, ${pauseText(before)}; nothing was changed`)
    })
  program
    .command('resume')
    .description('let changes go on after a pause')
    .option('--reason <text>', 'why, for the record')
    .option('--directory <name>', 'after the pause of this directory')
    .option('--json', 'print the result as JSON')
    .action(async (options: { reason?: string; directory?: string; json?: boolean }, command: Command) => {
      const reason = options.reason === undefined ? '' : reasonOption(options.reason)
      const actor = personOf(io)
      const settings = await loadForWork(command, io, true)
      const directory = directoryOption(settings, options.directory)
      const { refuseWhereFileIsDrier } = await import('../../../operations/accounts/file-forbids.ts')
      await using store = await openStoreFor(settings, true)
      await refuseWhereFileIsDrier(settings, store)
      const before = (await store.switches.pauses()).find((each) => each.directory === directory) ?? null
      const accounts = await store.switches.resume(directory, actor, reason)
      const left = await store.switches.pauses()
      const isServed = (await store.processLock.daemon()) !== null
      if (options.json === true) {
        const changed = accounts !== null
        const ended = changed && before !== null ? pauseJson(before) : null
        printData(io, { paused: left.length > 0, changed, accounts: accounts ?? 0, directory, ended })
        return
      }
      if (accounts === null) printText(io, `nothing was paused${directoryPhrase(directory)}`)
      else {
        const next = isServed || accounts === 0 ? '' : '; run lockstep drain'
        printText(io, `resumed${directoryPhrase(directory)}: ${counted(accounts, 'account')} had waited${next}`)
        if (before !== null) printText(io, `it was paused ${pauseText(before)}`)
      }
      for (const each of left) printText(io, `still paused${directoryPhrase(each.directory)}: ${plain(each.reason)}`)
    })
}

function pauseText({ sinceMs, by, reason }: Pause): string {
  return `since ${moment(sinceMs)} by ${plain(by)}: ${plain(reason)}`
}

/** Null where no directory is named. Fails with `usage`. */
function directoryOption({ directories }: Settings, text: string | undefined): DirectoryName | null {
  if (text === undefined) return null
  const found = directories.find(({ name }) => name === text)
  if (found !== undefined) return found.name
  const known = directories.map(({ name }) => name).join(', ')
  throw new AppError('usage', `--directory ${plain(text)}: there is no such directory; there are: ${known}`)
}
