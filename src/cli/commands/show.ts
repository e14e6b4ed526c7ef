import type { Command } from 'commander'
import { AppError } from '../../core/error.ts'
import type { AccountDetails } from '../../daemon/details.ts'
import { adviceFor } from '../advice.ts'
import type { CliIo } from '../io.ts'
import { effectNote, otherLockNote } from '../lock-effect.ts'
import { LOSS_STATES, lossText } from '../loss-text.ts'
import { moment } from '../moment.ts'
import { plain, print, printData, printTable } from '../output.ts'
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
      const settings = await loadForWork(command, io, true)
      await using store = await openStoreOf(settings, false)
      const found = await detailsOf(settings, store, name)
      if (found.length === 0) {
        throw new AppError('unknown-user', `nothing is on record about ${plain(name)}`, {
          hint: 'Lockstep knows an account from its first event on; lockstep events shows what came in.',
        })
      }
      if (options.json === true) printData(io, { accounts: found.map(shownDetails) })
      else for (const details of found) show(io, details)
    })
}

function shownDetails({ further, losses, ...details }: AccountDetails): object {
  return {
    ...details,
    losses: losses.map((loss) => ({ ...loss, text: lossText(loss) })),
    further: further.map(({ code, reason, ...each }) => {
      return { ...each, error: code === null ? null : { code, message: reason, hint: adviceFor(code) } }
    }),
  }
}

const MIRRORED = {
  open: 'being told to privacyIDEA',
  set: 'because somebody else locked the account in the directory',
  left: 'taken back in privacyIDEA by somebody, and left so',
} as const

function show(io: CliIo, details: AccountDetails): void {
  const { account, serials, retired, mirrored, losses, further, timeline } = details
  print(io, plain(account.dn))
  print(io, `  account   ${account.key}`)
  print(
    io,
    `  login     ${plain(account.login ?? '-')}${account.realm === null ? '' : `, realm ${plain(account.realm)}`}`,
  )
  if (retired !== null) {
    const { directory, sinceMs, by } = retired
    print(io, `  retired   directory ${directory}, since ${moment(sinceMs)}, by ${plain(by)}: nothing is written there`)
  }
  print(io, `  serials   ${serials.join(' ') || '-'}`)
  print(io, `  locked    ${account.lockedByUs ? 'by us' : 'not by us'}`)
  if (account.otherLock !== null) print(io, `  others    ${otherLockNote(account.otherLock)}`)
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
  for (const loss of losses) {
    print(io, `  loss      ${loss.serial} since ${moment(loss.sinceMs)}: ${lossText(loss)}; ${LOSS_STATES[loss.state]}`)
  }
  for (const { kind, of, state } of mirrored) {
    print(io, `  mirrored  ${kind === 'token' ? 'disabled token' : 'lockout of'} ${plain(of)}: ${MIRRORED[state]}`)
  }
  for (const { directory, dn, reason } of further) {
    const what = dn === null ? `could not be asked: ${plain(reason)}` : `${plain(dn)}; same login, not locked by us`
    print(io, `  further   ${directory}: ${what}`)
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
