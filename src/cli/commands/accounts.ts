import type { Command } from 'commander'
import type { CliIo } from '../io.ts'
import { lockedBy } from '../lock-effect.ts'
import { moment } from '../moment.ts'
import { firstOf, print, printData, printTable } from '../output.ts'
import { limitOption } from '../options.ts'
import { loadForWork } from '../settings.ts'
import { verificationText } from '../verification-text.ts'

interface Options {
  readonly locked?: boolean
  readonly limit: string
  readonly json?: boolean
}

export function register(program: Command, io: CliIo): void {
  program
    .command('accounts')
    .description('the accounts on record, their holds and how they stand')
    .option('--locked', 'only those with a hold or a lock of ours')
    .option('--limit <number>', 'at most so many', '1000')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options, command: Command) => {
      const limit = limitOption('--limit', options.limit)
      const { openStoreOf } = await import('../../daemon/state-store.ts')
      await using store = await openStoreOf(await loadForWork(command, io, true), false)
      const { items: accounts, isCut } = await firstOf(limit, (max) =>
        store.reports.accounts({ held: options.locked === true, limit: max }),
      )
      if (options.json === true) printData(io, { accounts, isCut })
      else if (accounts.length === 0)
        print(io, options.locked === true ? 'no account is held' : 'no account is on record')
      else
        printTable(io, accounts, [
          { title: 'login', value: (account) => account.login ?? '-' },
          { title: 'account', value: (account) => account.dn, shrinks: true },
          { title: 'locked', value: (account) => lockedBy(account) },
          {
            title: 'holds',
            value: (account) => account.holds.map((hold) => hold.name).join(' ') || '-',
            shrinks: true,
          },
          {
            title: 'since',
            value: (account) => (account.holds[0] === undefined ? '-' : moment(account.holds[0].sinceMs)),
          },
          { title: 'standing', value: (account) => account.standing },
          { title: 'verified', value: (account) => verificationText(account.verification) },
        ])
    })
}
