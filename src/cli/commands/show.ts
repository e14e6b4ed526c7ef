import type { Command } from 'commander'
import { AppError } from '../../core/error.ts'
import type { AccountDetails } from '../../daemon/details.ts'
import type { CliIo } from '../io.ts'
import { effectNote } from '../lock-effect.ts'
import { moment } from '../moment.ts'
import { plain, print, printJson, printTable } from '../output.ts'
import { loadForWork } from '../settings.ts'
import { verificationLines } from '../verification-text.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('show')
    .description('everything on record about an account: holds, serials, and its timeline of events and changes')
    .argument('<account>', 'a login, a serial, an account key or id, or a DN')
    .option('--json', 'print the result as JSON')
    .action(async (name: string, options: { json?: boolean }, command: Command) => {
      const { openStoreOf } = await import('../../daemon/state-store.ts')
      const { detailsOf } = await import('../../daemon/details.ts')
      await using store = await openStoreOf(await loadForWork(command, io), false)
      const found = await detailsOf(store, name)
      if (found.length === 0) {
        throw new AppError('unknown-user', `nothing is on record about ${plain(name)}`, {
          hint: 'Lockstep knows an account from its first event on; lockstep events shows what came in.',
        })
      }
      if (options.json === true) printJson(io, found)
      else for (const details of found) show(io, details)
    })
}

const MIRRORED = {
  open: 'being told to privacyIDEA',
  set: 'because somebody else locked the account in the directory',
  left: 'taken back in privacyIDEA by somebody, and left so',
} as const

function show(io: CliIo, { account, serials, mirrored, timeline }: AccountDetails): void {
  print(io, plain(account.dn))
  print(io, `  account   ${account.key}`)
  print(
    io,
    `  login     ${plain(account.login ?? '-')}${account.realm === null ? '' : `, realm ${plain(account.realm)}`}`,
  )
  print(io, `  serials   ${serials.join(' ') || '-'}`)
  print(io, `  locked    ${account.lockedByUs ? 'by us' : 'not by us'}`)
  const effect = effectNote(account)
  if (effect !== null) print(io, `  effect    ${effect}`)
  if (account.verification !== null) for (const line of verificationLines(account.verification)) print(io, line)
  print(
    io,
    `  standing  ${account.standing}${account.standingReason === '' ? '' : `: ${plain(account.standingReason)}`}`,
  )
  for (const hold of account.holds) {
    const until = hold.untilMs === null ? '' : `, until ${moment(hold.untilMs)}`
    print(
      io,
      `  hold      ${hold.name} since ${moment(hold.sinceMs)}${until}: ${plain(hold.reason)}${hold.actor === '' ? '' : ` (${plain(hold.actor)})`}`,
    )
  }
  for (const { kind, of, state } of mirrored) {
    print(io, `  mirrored  ${kind === 'token' ? 'disabled token' : 'lockout of'} ${plain(of)}: ${MIRRORED[state]}`)
  }
  if (timeline.length === 0) return
  print(io, '')
  printTable(io, timeline, [
    { title: 'time', value: (entry) => moment(entry.atMs) },
    { title: 'what', value: (entry) => entry.what },
    { title: 'serial', value: (entry) => entry.serial ?? '-' },
    { title: 'by', value: (entry) => entry.actor || '-' },
    { title: 'details', value: (entry) => entry.details, shrinks: true },
  ])
}
