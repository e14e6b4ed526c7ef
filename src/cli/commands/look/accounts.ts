import type { Command } from 'commander'
import type { AccountReport } from '../../../store/reports/reports.ts'
import { reasonsOf, sinceOf } from '../../texts/account-text.ts'
import type { CliIo } from '../../terminal/io.ts'
import { lockedBy } from '../../texts/lock-effect.ts'
import { firstOf, printData, printTable, printText } from '../../terminal/output.ts'
import { limitOption, type Flags, type Given } from '../../terminal/options.ts'
import { loadForWork, openStoreFor } from '../../process/settings.ts'
import { verificationText } from '../../texts/verification-text.ts'

type Options = Given<'limit'> & Flags<'locked' | 'json'>

interface Row extends AccountReport {
  /** Below the LDIF folder; null: they cannot be read. */
  readonly files: readonly string[] | null
}

export function register(program: Command, io: CliIo): void {
  program
    .command('accounts')
    .description('the accounts on record, their holds and how they stand')
    .option('--locked', 'only those with a hold or a lock of ours, with their files in the folder unlock')
    .option('--limit <number>', 'at most so many', '1000')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options, command: Command) => {
      const limit = limitOption('--limit', options.limit)
      const settings = await loadForWork(command, io, true)
      const { unlockFilesIn } = await import('../../../operations/accounts/unlock-files.ts')
      await using store = await openStoreFor(settings)
      const { items, isCut } = await firstOf(limit, (max) =>
        store.reports.accounts({ held: options.locked === true, limit: max }),
      )
      const filesOf = unlockFilesIn(settings.ldif.dir)
      const accounts = items.map((account): Row => ({ ...account, files: filesOf(account) }))
      if (options.json === true) printData(io, { accounts, isCut })
      else if (accounts.length === 0)
        printText(io, options.locked === true ? 'no account is held' : 'no account is on record')
      else show(io, accounts)
    })
}

function show(io: CliIo, accounts: readonly Row[]): void {
  printTable(io, accounts, [
    { title: 'login', value: (account) => account.login ?? '-' },
    { title: 'account', value: (account) => account.dn, movesBelow: true },
    { title: 'locked', value: (account) => lockedBy(account) },
    { title: 'holds', value: (account) => account.holds.map((hold) => hold.name).join(' ') || '-', movesBelow: true },
    { title: 'since', value: sinceOf, align: 'right' },
    { title: 'standing', value: (account) => account.standing },
    { title: 'verified', value: (account) => verificationText(account.verification) },
    {
      title: 'file',
      value: ({ files }) => (files === null ? 'not readable' : files.join(' ') || '-'),
      movesBelow: true,
    },
    { title: 'reason', value: (account) => reasonsOf(account) || '-', movesBelow: true },
  ])
}
