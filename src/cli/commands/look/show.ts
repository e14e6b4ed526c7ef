import type { Command } from 'commander'
import { AppError } from '../../../core/error.ts'
import type { AccountDetails } from '../../../operations/accounts/details.ts'
import type { TokensUnread } from '../../../operations/accounts/shown-tokens.ts'
import { adviceFor } from '../../texts/advice.ts'
import type { CliIo } from '../../terminal/io.ts'
import { effectNote, otherLockNote } from '../../texts/lock-effect.ts'
import { LOSS_STATES, lossText } from '../../texts/loss-text.ts'
import { exactMoment, moment } from '../../terminal/moment.ts'
import { note, plain, print, printData, printTable, printText } from '../../terminal/output.ts'
import { ACCOUNT_HELP } from '../../terminal/options.ts'
import { loadForWork, openStoreFor } from '../../process/settings.ts'
import type { Column } from '../../terminal/table.ts'
import { tokenLines, undoneLines } from '../../texts/token-lines.ts'
import { verificationLines } from '../../texts/verification-text.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('show')
    .description('everything on record about an account: holds, serials, and its timeline of events and changes')
    .argument('<account>', ACCOUNT_HELP)
    .option('--json', 'print the result as JSON')
    .action(async (name: string, options: { json?: boolean }, command: Command) => {
      const { detailsOf } = await import('../../../operations/accounts/details.ts')
      const settings = await loadForWork(command, io, true)
      await using store = await openStoreFor(settings)
      const { matches, note: remark, hint } = await detailsOf(settings, store, name)
      if (matches.length === 0) {
        throw new AppError('unknown-user', `nothing is on record about ${plain(name)}`, {
          hint:
            hint === ''
              ? 'Lockstep has an account on record from its first event on; lockstep events shows what came in.'
              : plain(hint),
        })
      }
      if (remark !== null) note(io, `lockstep: ${plain(remark)}`)
      if (options.json === true) printData(io, { accounts: matches.map(({ found }) => shownDetails(found)) })
      else {
        for (const [index, { found }] of matches.entries()) {
          if (index > 0) print(io, '')
          show(io, found)
        }
      }
      if (matches.length > 1) {
        const names = matches.map((match) => plain(match.name))
        note(
          io,
          `lockstep: ${matches.length} accounts are called ${plain(name)}. One of them alone: ${names.join(', or ')}`,
        )
      }
    })
}

function shownDetails({ further, losses, tokensUnread, ...details }: AccountDetails): object {
  return {
    ...details,
    tokensUnread: tokensUnread === null ? null : failureOf(tokensUnread),
    losses: losses.map((loss) => ({ ...loss, text: lossText(loss) })),
    further: further.map(({ code, reason, ...each }) => {
      return { ...each, error: code === null ? null : failureOf({ code, reason }) }
    }),
  }
}

function failureOf({ code, reason }: TokensUnread): object {
  return { code, message: reason, hint: adviceFor(code) }
}

const MIRRORED = {
  open: 'pending in privacyIDEA',
  set: 'because somebody else locked the account in the directory',
  left: 'reverted in privacyIDEA by somebody, and left so',
} as const

const LABEL_WIDTH = 10
const INDENT = 2 + LABEL_WIDTH

function show(io: CliIo, details: AccountDetails): void {
  const { account, timeline } = details
  print(io, plain(account.dn))
  for (const [label, text] of linesOf(details))
    printText(io, `  ${label.padEnd(LABEL_WIDTH)}${text}`, { indent: INDENT })
  if (timeline.length === 0) return
  print(io, '')
  printTable(io, timeline, TIMELINE)
}

/** On a terminal, columns without room go below the row. */
export const TIMELINE: readonly Column<AccountDetails['timeline'][number]>[] = [
  { title: 'time', value: (entry) => exactMoment(entry.atMs), align: 'right' },
  { title: 'what', value: (entry) => entry.what },
  { title: 'serial', value: (entry) => entry.serial ?? '-', movesBelow: true },
  { title: 'by', value: (entry) => entry.actor || '-', movesBelow: true },
  { title: 'details', value: (entry) => entry.details, movesBelow: true },
]

type Line = readonly [label: string, text: string]

function linesOf(details: AccountDetails): Line[] {
  const { account, serials, retired, mirrored, losses, further } = details
  const effect = effectNote(account)
  const realm = account.realm === null ? '' : `, realm ${plain(account.realm)}`
  const standingReason = account.standingReason === '' ? '' : `: ${plain(account.standingReason)}`
  return [
    ['account', account.key],
    ['login', `${plain(account.login ?? '-')}${realm}`],
    ...(retired === null ? [] : [retiredLine(retired)]),
    ['serials', serials.join(' ') || '-'],
    ...tokenLines(details),
    ...undoneLines(details),
    ['locked', account.lockedByUs ? 'by us' : 'not by us'],
    ...(account.otherLock === null ? [] : [['others', otherLockNote(account.otherLock)] as const]),
    ...(effect === null ? [] : [['effect', effect] as const]),
    ...(account.verification === null ? [] : verificationLines(account.verification)),
    ['standing', `${account.standing}${standingReason}`],
    ...account.holds.map(holdLine),
    ...losses.map((loss): Line => {
      return ['loss', `${loss.serial} since ${moment(loss.sinceMs)}: ${lossText(loss)}; ${LOSS_STATES[loss.state]}`]
    }),
    ...mirrored.map(({ kind, of, state }): Line => {
      return ['mirrored', `${kind === 'token' ? 'disabled token' : 'lockout of'} ${plain(of)}: ${MIRRORED[state]}`]
    }),
    ...further.map(({ directory, dn, reason }): Line => {
      const what = dn === null ? `could not be asked: ${plain(reason)}` : `${plain(dn)}; same login, not locked by us`
      return ['further', `${directory}: ${what}`]
    }),
  ]
}

function retiredLine({ directory, sinceMs, by }: NonNullable<AccountDetails['retired']>): Line {
  return ['retired', `directory ${directory}, since ${moment(sinceMs)}, by ${plain(by)}: nothing is written there`]
}

function holdLine({ name, sinceMs, untilMs, reason, actor }: AccountDetails['account']['holds'][number]): Line {
  const until = untilMs === null ? '' : `, until ${moment(untilMs)}`
  const by = actor === '' ? '' : ` (${plain(actor)})`
  return ['hold', `${name} since ${moment(sinceMs)}${until}: ${plain(reason)}${by}`]
}
