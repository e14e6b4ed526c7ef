import { counted } from '../../../core/format/counted.ts'
import type { Command } from 'commander'
import type { Trouble } from '../../../contract/verdict.ts'
import { AppError } from '../../../core/error.ts'
import { reasonText } from '../../../core/reasons/reason.ts'
import type { ReviewKind, ReviewResult, ReviewSelection } from '../../../operations/accounts/review.ts'
import type { LossReview, Review } from '../../../ports/store/review.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { LOSS_STATES, lossText } from '../../texts/loss-text.ts'
import { moment } from '../../terminal/moment.ts'
import { note, plain, print, printData, printTable, printText } from '../../terminal/output.ts'
import { ACCOUNT_HELP, limitOption, reasonOption, type Flags, type Texts } from '../../terminal/options.ts'
import { personOf } from '../../process/person.ts'
import { errorLog, loadForWork, openStoreFor, openSystemFor } from '../../process/settings.ts'

const KIND_HELP = 'only locks, or only losses: lock or loss'
const SHOWN_MAX = 1_000

type Selecting = Texts<'realm' | 'directory' | 'kind'> & Flags<'all' | 'json'>

export function register(program: Command, io: CliIo): void {
  const review = program
    .command('review')
    .description('locks and losses that the breakers hold back: look at them, approve or reject them')
  registerList(review, io)
  registerShow(review, io)
  for (const kind of ['approve', 'reject'] as const) registerDecision(review, kind, io)
  registerResume(review, io)
}

function registerList(review: Command, io: CliIo): void {
  review
    .command('list', { isDefault: true })
    .description('the locks and losses that wait, since when and why')
    .option('--realm <realm>', 'only users of this realm')
    .option('--directory <name>', 'only accounts of this directory')
    .option('--kind <kind>', KIND_HELP)
    .option('--limit <number>', 'at most so many of each kind', '1000')
    .option('--json', 'print the result as JSON')
    .action(async (options: Selecting & { limit: string }, command: Command) => {
      const limit = limitOption('--limit', options.limit)
      const settings = await loadForWork(command, io, true)
      const { lossesOf, reviewsOf } = await import('../../../operations/accounts/review.ts')
      const { reviewCounts } = await import('../../../app/health/review-counts.ts')
      await using store = await openStoreFor(settings)
      const selection = selectionOf(null, options)
      const counts = await reviewCounts(store)
      const reviews = await firstOf(reviewsOf(store, selection), limit)
      const losses = await firstOf(lossesOf(store, selection), limit)
      const { locks, losses: lost } = counts
      const inAll = locks.waiting + locks.approved + lost.waiting + lost.approved + lost.dismissed
      if (options.json === true)
        printData(io, { ...counts, reviews: [...reviews.map(reviewJson), ...losses.map(lossJson)] })
      else showList(io, reviews, losses, { inAll, approvals: store.reviews.approvalsNeeded })
    })
}

async function firstOf<Item>(pages: AsyncIterable<readonly Item[]>, limit: number): Promise<Item[]> {
  const first: Item[] = []
  for await (const page of pages) {
    first.push(...page.slice(0, limit - first.length))
    if (first.length >= limit) break
  }
  return first
}

interface Row {
  readonly login: string
  readonly account: string
  readonly kind: ReviewKind
  readonly since: string
  readonly state: string
  readonly holds: string
  readonly why: string
}

function showList(
  io: CliIo,
  locks: readonly Review[],
  losses: readonly LossReview[],
  { inAll, approvals }: { inAll: number; approvals: number },
): void {
  const rows: Row[] = [
    ...locks.map((each): Row => ({
      ...rowOf(each, each.change.dn, approvals),
      kind: 'lock',
      holds: each.change.holds.join(' '),
      why: reasonText(each.reason),
    })),
    ...losses.map((each): Row => ({
      ...rowOf(each, each.dn, approvals),
      kind: 'loss',
      holds: each.serial,
      why: lossText(each),
    })),
  ]
  if (rows.length === 0) return print(io, 'no lock waits, and no loss')
  printTable(io, rows, [
    { title: 'login', value: ({ login }) => login },
    { title: 'account', value: ({ account }) => account, movesBelow: true },
    { title: 'kind', value: ({ kind }) => kind },
    { title: 'since', value: ({ since }) => since, align: 'right' },
    { title: 'state', value: ({ state }) => state },
    { title: 'holds', value: ({ holds }) => holds, movesBelow: true },
    { title: 'why', value: ({ why }) => why, movesBelow: true },
  ])
  if (inAll > rows.length) print(io, `… ${inAll} in all`)
  printText(io, 'Next: lockstep review show LOGIN, then approve or reject LOGIN (or --all) --reason TEXT')
}

function rowOf(
  { login, sinceMs, ...each }: Pick<LossReview, 'login' | 'sinceMs' | 'state' | 'approvedBy'>,
  account: string,
  approvals: number,
): Pick<Row, 'login' | 'account' | 'since' | 'state'> {
  return { login: login ?? '-', account, since: moment(sinceMs), state: stateText(each, approvals) }
}

function stateText({ state, approvedBy }: Pick<LossReview, 'state' | 'approvedBy'>, approvals: number): string {
  return approvals > 1 ? `${state}, ${approvedBy.length} of ${approvals}` : state
}

function registerShow(review: Command, io: CliIo): void {
  review
    .command('show')
    .description(
      'what waits of one account: a lock with the LDIF that would be written and the one that would take it back, and losses',
    )
    .argument('<account>', ACCOUNT_HELP)
    .option('--json', 'print the result as JSON')
    .action(async (name: string, options: { json?: boolean }, command: Command) => {
      const settings = await loadForWork(command, io, true)
      const { accountsToReview, lossesOf, previewOf, reviewsOf } =
        await import('../../../operations/accounts/review.ts')
      await using store = await openStoreFor(settings)
      const { keys, notes } = await accountsToReview({ settings, store }, [name], false)
      for (const each of notes) note(io, `lockstep: ${plain(each)}`)
      const found = await firstOf(reviewsOf(store, selectionOf(keys, {})), SHOWN_MAX)
      const losses = await firstOf(lossesOf(store, selectionOf(keys, {})), SHOWN_MAX)
      if (found.length + losses.length === 0)
        throw new AppError('unknown-user', `no lock of ${plain(name)} waits, and no loss`)
      if (options.json === true) {
        const locks = found.map((each) => ({ ...reviewJson(each), ldif: previewOf(each) }))
        return printData(io, { reviews: [...locks, ...losses.map(lossJson)] })
      }
      for (const each of found) {
        const { forward, inverse } = previewOf(each)
        printText(io, `${plain(each.change.dn)}\n  account   ${each.key}`, { indent: 12 })
        printText(io, `  waits     since ${moment(each.sinceMs)}: ${plain(reasonText(each.reason))}`, { indent: 12 })
        printText(io, `  holds     ${each.change.holds.join(' ')}: ${plain(reasonText(each.change.reason))}`, {
          indent: 12,
        })
        const by = each.approvedBy.length === 0 ? '' : ` by ${plain(each.approvedBy.join(' '))}`
        printText(io, `  state     ${stateText(each, store.reviews.approvalsNeeded)}${by}`, { indent: 12 })
        print(io, `\n${forward}\n${inverse}`)
      }
      for (const each of losses) showLoss(io, each, store.reviews.approvalsNeeded)
    })
}

function showLoss(io: CliIo, loss: LossReview, approvals: number): void {
  const by = loss.approvedBy.length === 0 ? '' : ` by ${plain(loss.approvedBy.join(' '))}`
  const unlock = loss.isHold ? ', and ends the hold that it makes' : ''
  printText(io, `${plain(loss.dn)}\n  account   ${loss.key}`, { indent: 12 })
  printText(io, `  loss      ${loss.serial} since ${moment(loss.sinceMs)}: ${lossText(loss)}`, { indent: 12 })
  printText(io, `  approved  it takes ${loss.serial} off the account${unlock}`, { indent: 12 })
  printText(io, `  state     ${stateText(loss, approvals)}${by}: ${LOSS_STATES[loss.state]}`, { indent: 12 })
}

function registerDecision(review: Command, kind: 'approve' | 'reject', io: CliIo): void {
  review
    .command(kind)
    .description(
      kind === 'approve'
        ? 'let locks that wait be written, and losses that wait be carried out'
        : 'end the holds of accounts whose lock waits, and keep serial and lock of those whose loss waits; the tokens stay as they are in privacyIDEA',
    )
    .argument('[accounts...]', `each is ${ACCOUNT_HELP}`)
    .option('--all', 'all that wait')
    .option('--realm <realm>', 'all that wait of this realm')
    .option('--directory <name>', 'all that wait of this directory')
    .option('--kind <kind>', KIND_HELP)
    .requiredOption('--reason <text>', 'why, for the record; needed')
    .option('--json', 'print the result as JSON')
    .action(async (names: readonly string[], options: Selecting & { reason: string }, command: Command) => {
      const decision = { person: personOf(io), reason: reasonOption(options.reason) }
      const isNamed = names.length > 0
      if (isNamed === (options.all === true || options.realm !== undefined || options.directory !== undefined)) {
        throw new AppError('usage', 'name the accounts, or give --all, --realm or --directory')
      }
      const settings = await loadForWork(command, io, kind === 'reject')
      const { accountsToReview, decide } = await import('../../../operations/accounts/review.ts')
      await using system = await openSystemFor(settings)
      const log = await errorLog(io)
      const named = isNamed ? await accountsToReview(system, names, true) : null
      for (const each of named?.notes ?? []) note(io, `lockstep: ${plain(each)}`)
      const result = await decide(system, kind, selectionOf(named?.keys ?? null, options), decision, log)
      const needed = system.store.reviews.approvalsNeeded
      const isNothing = decidedCount(result) === 0
      io.exitCode = exitOfDecision(result, isNamed && isNothing)
      if (options.json === true)
        printData(io, { by: decision.person, needed, ...result }, troubleOf(io.exitCode, result))
      else report(io, result, needed, decision.person)
    })
}

/** 77 where the same person had approved all of it before: another person is needed. */
function exitOfDecision(result: ReviewResult, isMissing: boolean): number {
  if (isMissing) return EXIT.noUser
  const again = result.again + result.losses.again
  return again > 0 && decidedCount(result) === again ? EXIT.noPermission : EXIT.ok
}

function troubleOf(exit: number, { approvedBefore }: ReviewResult): Trouble | null {
  if (exit === EXIT.ok) return null
  if (exit === EXIT.noUser && approvedBefore.length > 0) {
    const hint = 'lockstep show LOGIN shows why.'
    return { code: 'nothing-matched', message: 'approved already, and not carried out yet', hint }
  }
  return exit === EXIT.noUser
    ? { code: 'nothing-matched', message: 'no such lock waits, and no such loss', hint: 'lockstep review lists them.' }
    : {
        code: 'another-person-needed',
        message: 'the same person approved it before',
        hint: 'Another person has to approve it as well.',
      }
}

function decidedCount({ approved, rejected, short, again, losses }: ReviewResult): number {
  const lost = losses.approved + losses.dismissed + losses.short + losses.again
  return approved + rejected + short + again + lost
}

function report(io: CliIo, result: ReviewResult, needed: number, person: string): void {
  const { approved, rejected, short, again, pending } = result
  if (approved > 0) printText(io, `${counted(approved, 'lock')} approved`)
  if (rejected > 0) printText(io, `${counted(rejected, 'lock')} rejected: their holds have ended`)
  const another = `${needed} persons are needed, another one has to approve`
  if (short > 0) printText(io, `${counted(short, 'lock')} approved by ${plain(person)}; ${another}`)
  if (again > 0)
    printText(io, `${counted(again, 'lock')} approved by ${plain(person)} before; another person has to approve`)
  reportLosses(io, result.losses, needed, person)
  for (const { login, account, by } of result.approvedBefore) {
    const what = `approved already by ${plain(by.join(', '))}, and not carried out yet; lockstep show shows why`
    printText(io, `${plain(login ?? account)}: ${what}`)
  }
  if (decidedCount(result) + result.approvedBefore.length === 0) printText(io, 'no such lock waits, and no such loss')
  if (pending > 0) printText(io, `${counted(pending, 'account')} still to be done; lockstep status shows it`)
}

function reportLosses(io: CliIo, losses: ReviewResult['losses'], needed: number, person: string): void {
  const { approved, dismissed, short, again } = losses
  const count = (n: number): string => `the loss of ${counted(n, 'token')}`
  if (approved > 0) printText(io, `${count(approved)} approved`)
  if (dismissed > 0) printText(io, `${count(dismissed)} dismissed: serials and locks stay`)
  if (short > 0) printText(io, `${count(short)} approved by ${plain(person)}; ${needed} persons are needed`)
  if (again > 0) printText(io, `${count(again)} approved by ${plain(person)} before; another person has to approve`)
}

function registerResume(review: Command, io: CliIo): void {
  review
    .command('resume')
    .description(
      'close the breakers: locks and losses are counted from nothing again, and what waits is carried out as far as the limits allow',
    )
    .option('--kind <kind>', KIND_HELP)
    .requiredOption('--reason <text>', 'why, for the record; needed')
    .option('--json', 'print the result as JSON')
    .action(async (options: { reason: string; kind?: string; json?: boolean }, command: Command) => {
      const decision = { person: personOf(io), reason: reasonOption(options.reason) }
      const settings = await loadForWork(command, io)
      const { resumeBreaker } = await import('../../../operations/accounts/review.ts')
      await using system = await openSystemFor(settings)
      const log = await errorLog(io)
      const { locks, losses } = await resumeBreaker(system, kindOf(options.kind), decision, log)
      if (options.json === true) printData(io, { by: decision.person, waited: locks, lossesWaited: losses })
      else {
        const lost = losses > 0 ? ` and the loss of ${counted(losses, 'token')}` : ''
        printText(io, `the breaker is closed; ${counted(locks, 'lock')}${lost} had waited`)
      }
    })
}

function selectionOf(
  keys: ReviewSelection['keys'],
  { realm, directory, kind }: Pick<Selecting, 'realm' | 'directory' | 'kind'>,
): ReviewSelection {
  return { keys, realm: realm ?? null, directory: directory ?? null, kind: kindOf(kind) }
}

function kindOf(text: string | undefined): ReviewKind | null {
  if (text === undefined || text === 'lock' || text === 'loss') return text ?? null
  throw new AppError('usage', '--kind: is lock or loss')
}

function reviewJson({ key, login, realm, directory, sinceMs, reason, state, approvedBy, change }: Review): object {
  const { dn, holds } = change
  const whose = { account: key, login, realm, directory, dn, sinceMs, state, approvedBy, holds }
  return { kind: 'lock', ...whose, reason, why: change.reason }
}

function lossJson(loss: LossReview): object {
  const { key, login, realm, directory, dn, sinceMs, state, approvedBy, serial, isHold, cause } = loss
  const whose = { account: key, login, realm, directory, dn, sinceMs, state, approvedBy }
  return { kind: 'loss', ...whose, serial, holds: isHold ? [serial] : [], cause, text: lossText(loss) }
}
