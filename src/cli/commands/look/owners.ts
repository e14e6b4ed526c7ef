import { counted } from '../../../core/format/counted.ts'
import { Option, type Command } from 'commander'
import { CAUSE_TEXT, isUnplacedCause, UNPLACED_CAUSES } from '../../../core/reasons/unplaced.ts'
import type { CliIo } from '../../terminal/io.ts'
import { moment } from '../../terminal/moment.ts'
import { limitOption, type Flags, type Given, type Texts } from '../../terminal/options.ts'
import { note, printData, printTable, printText } from '../../terminal/output.ts'
import { loadForWork, openStoreFor } from '../../process/settings.ts'

type Options = Given<'limit'> & Texts<'cause'> & Flags<'unplaced' | 'json'>

export function register(program: Command, io: CliIo): void {
  program
    .command('owners')
    .description('owners of tokens in privacyIDEA who have no account, and why (mode api)')
    .option('--unplaced', 'those without an account; the default, since all others are in `lockstep accounts`')
    .addOption(new Option('--cause <cause>', 'only those of this cause').choices([...UNPLACED_CAUSES]))
    .option('--limit <number>', 'at most so many tokens', '1000')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options, command: Command) => {
      const limit = limitOption('--limit', options.limit)
      const cause = options.cause !== undefined && isUnplacedCause(options.cause) ? options.cause : null
      const settings = await loadForWork(command, io, true)
      if (settings.privacyidea === null) {
        const { withoutApi } = await import('../../../operations/accounts/resync-once.ts')
        throw withoutApi('the owners of tokens cannot be listed')
      }
      await using store = await openStoreFor(settings)
      const groups = (await store.unplaced.groups()).filter((group) => cause === null || group.cause === cause)
      const tokens = await store.unplaced.list(limit, cause)
      if (options.json === true) return printData(io, { groups, tokens })
      if (tokens.length === 0) return printText(io, 'every owner of a listed token has an account')
      printTable(io, tokens, [
        { title: 'serial', value: (token) => token.serial },
        { title: 'full', value: (token) => (token.isFull ? 'yes' : '-') },
        { title: 'login', value: (token) => token.login ?? '-' },
        { title: 'realm', value: (token) => token.realm ?? '-', movesBelow: true },
        { title: 'resolver', value: (token) => token.resolver ?? '-', movesBelow: true },
        { title: 'user id', value: (token) => token.userId ?? '-', movesBelow: true },
        { title: 'since', value: (token) => moment(token.sinceMs), align: 'right' },
        { title: 'cause', value: (token) => token.cause },
        { title: 'why', value: (token) => CAUSE_TEXT[token.cause], movesBelow: true },
      ])
      const all = groups.reduce((sum, group) => sum + group.tokens, 0)
      if (all > tokens.length) note(io, `${tokens.length} of ${counted(all, 'token')}; more: --limit ${all}`)
    })
}
