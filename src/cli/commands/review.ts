import type { Command } from 'commander'
import { AppError } from '../../core/error.ts'
import type { ReviewResult, ReviewSelection } from '../../daemon/review.ts'
import type { Review } from '../../ports/review.ts'
import { EXIT } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { moment } from '../moment.ts'
import { counted, plain, print, printJson, printTable } from '../output.ts'
import { limitOption, personOf, reasonOption } from '../options.ts'
import { loadForWork } from '../settings.ts'

interface Selecting {
  readonly realm?: string
  readonly directory?: string
  readonly all?: boolean
  readonly json?: boolean
}

export function register(program: Command, io: CliIo): void {
  const review = program
    .command('review')
    .description('locks that the breaker holds back: look at them, approve or reject them')
  registerList(review, io)
  registerShow(review, io)
  for (const kind of ['approve', 'reject'] as const) registerDecision(review, kind, io)
  registerResume(review, io)
}

function registerList(review: Command, io: CliIo): void {
  review
    .command('list', { isDefault: true })
    .description('the locks that wait, since when and why')
    .option('--realm <realm>', 'only users of this realm')
    .option('--directory <name>', 'only accounts of this directory')
    .option('--limit <number>', 'at most so many', '1000')
    .option('--json', 'print the result as JSON')
    .action(async (options: Selecting & { limit: string }, command: Command) => {
      const limit = limitOption('--limit', options.limit)
      const settings = await loadForWork(command, io)
      const { openStoreOf } = await import('../../daemon/state-store.ts')
      const { reviewsOf } = await import('../../daemon/review.ts')
      await using store = await openStoreOf(settings, false)
      const counts = await store.reviews.counts()
      const reviews: Review[] = []
      for await (const page of reviewsOf(store, selectionOf([], options))) {
        reviews.push(...page.slice(0, limit - reviews.length))
        if (reviews.length >= limit) break
      }
      if (options.json === true) printJson(io, { ...counts, reviews: reviews.map(reviewJson) })
      else showList(io, reviews, counts.waiting + counts.approved, store.reviews.approvalsNeeded)
    })
}

function showList(io: CliIo, reviews: readonly Review[], inAll: number, approvals: number): void {
  if (reviews.length === 0) {
    print(io, 'no lock waits')
    return
  }
  printTable(io, reviews, [
    { title: 'login', value: ({ login }) => login ?? '-' },
    { title: 'account', value: ({ change }) => change.dn, shrinks: true },
    { title: 'since', value: ({ sinceMs }) => moment(sinceMs) },
    { title: 'state', value: (each) => stateText(each, approvals) },
    { title: 'holds', value: ({ change }) => change.holds.join(' '), shrinks: true },
    { title: 'why', value: ({ reason }) => reason, shrinks: true },
  ])
  if (inAll > reviews.length) print(io, `… ${inAll} in all`)
  print(io, 'Next: lockstep review show LOGIN, then approve or reject LOGIN (or --all) --reason …')
}

function stateText({ state, approvedBy }: Review, approvals: number): string {
  return approvals > 1 ? `${state}, ${approvedBy.length} of ${approvals}` : state
}

function registerShow(review: Command, io: CliIo): void {
  review
    .command('show')
    .description('one lock that waits, with the LDIF that would be written and the one that would take it back')
    .argument('<account>', 'a login, a serial, an account key or id, or a DN')
    .option('--json', 'print the result as JSON')
    .action(async (name: string, options: { json?: boolean }, command: Command) => {
      const settings = await loadForWork(command, io)
      const { openStoreOf } = await import('../../daemon/state-store.ts')
      const { previewOf, reviewsOf } = await import('../../daemon/review.ts')
      await using store = await openStoreOf(settings, false)
      const found: Review[] = []
      for await (const page of reviewsOf(store, selectionOf([name], {}))) found.push(...page)
      if (found.length === 0) throw new AppError('unknown-user', `no lock of ${plain(name)} waits`)
      if (options.json === true) {
        printJson(
          io,
          found.map((each) => ({ ...reviewJson(each), ldif: previewOf(each) })),
        )
        return
      }
      for (const each of found) {
        const { forward, inverse } = previewOf(each)
        print(io, `${plain(each.change.dn)}\n  account   ${each.key}`)
        print(io, `  waits     since ${moment(each.sinceMs)}: ${plain(each.reason)}`)
        print(io, `  holds     ${each.change.holds.join(' ')}: ${plain(each.change.reason)}`)
        const by = each.approvedBy.length === 0 ? '' : ` by ${plain(each.approvedBy.join(' '))}`
        print(io, `  state     ${stateText(each, store.reviews.approvalsNeeded)}${by}`)
        print(io, `\n${forward}\n${inverse}`)
      }
    })
}

function registerDecision(review: Command, kind: 'approve' | 'reject', io: CliIo): void {
  review
    .command(kind)
    .description(
      kind === 'approve'
        ? 'let locks that wait be written'
        : 'end the holds of accounts whose lock waits; the tokens stay as they are in privacyIDEA',
    )
    .argument('[accounts...]', 'logins, serials, account keys or DNs')
    .option('--all', 'all that wait')
    .option('--realm <realm>', 'all that wait of this realm')
    .option('--directory <name>', 'all that wait of this directory')
    .requiredOption('--reason <text>', 'why, for the record; needed')
    .option('--json', 'print the result as JSON')
    .action(async (names: readonly string[], options: Selecting & { reason: string }, command: Command) => {
      const word = { person: personOf(io), reason: reasonOption(options.reason) }
      const isNamed = names.length > 0
      if (isNamed === (options.all === true || options.realm !== undefined || options.directory !== undefined)) {
        throw new AppError('usage', 'name the accounts, or say --all, --realm or --directory')
      }
      const settings = await loadForWork(command, io)
      const { errorsOnly, openLog } = await import('../../daemon/log.ts')
      const { openSystem } = await import('../../daemon/system.ts')
      const { decide } = await import('../../daemon/review.ts')
      await using system = await openSystem(settings)
      const log = errorsOnly(openLog(io.stderr, false))
      const result = await decide(system, kind, selectionOf(names, options), word, log)
      const needed = system.store.reviews.approvalsNeeded
      const isNothing = result.approved + result.rejected + result.short + result.again === 0
      io.exitCode = exitOfDecision(result, isNamed && isNothing)
      if (options.json === true) printJson(io, { ok: io.exitCode === EXIT.ok, by: word.person, needed, ...result })
      else tell(io, result, needed, word.person)
    })
}

/** 77 where all that was said had been said by the same person before: another one is needed. */
function exitOfDecision({ approved, rejected, short, again }: ReviewResult, isMissing: boolean): number {
  if (isMissing) return EXIT.noUser
  return again > 0 && approved + rejected + short === 0 ? EXIT.noPermission : EXIT.ok
}

function tell(io: CliIo, result: ReviewResult, needed: number, person: string): void {
  const { approved, rejected, short, again, pending } = result
  if (approved > 0) print(io, `${counted(approved, 'lock')} approved`)
  if (rejected > 0) print(io, `${counted(rejected, 'lock')} rejected: their holds have ended`)
  if (short > 0)
    print(
      io,
      `${counted(short, 'lock')} approved by ${plain(person)}; ${needed} persons are needed, another one has to approve`,
    )
  if (again > 0)
    print(io, `${counted(again, 'lock')} approved by ${plain(person)} before; another person has to approve`)
  if (approved + rejected + short + again === 0) print(io, 'no such lock waits')
  if (pending > 0) print(io, `${counted(pending, 'account')} still to be done; lockstep status shows it`)
}

function registerResume(review: Command, io: CliIo): void {
  review
    .command('resume')
    .description(
      'close the breaker: locks are counted from nothing again, and what waits is locked as far as the limits allow',
    )
    .requiredOption('--reason <text>', 'why, for the record; needed')
    .option('--json', 'print the result as JSON')
    .action(async (options: { reason: string; json?: boolean }, command: Command) => {
      const word = { person: personOf(io), reason: reasonOption(options.reason) }
      const settings = await loadForWork(command, io)
      const { errorsOnly, openLog } = await import('../../daemon/log.ts')
      const { openSystem } = await import('../../daemon/system.ts')
      const { resumeBreaker } = await import('../../daemon/review.ts')
      await using system = await openSystem(settings)
      const waited = await resumeBreaker(system, word, errorsOnly(openLog(io.stderr, false)))
      if (options.json === true) printJson(io, { ok: true, by: word.person, waited })
      else print(io, `the breaker is closed; ${counted(waited, 'lock')} had waited`)
    })
}

function selectionOf(names: readonly string[], { realm, directory }: Selecting): ReviewSelection {
  return { names, realm: realm ?? null, directory: directory ?? null }
}

function reviewJson({ key, login, realm, directory, sinceMs, reason, state, approvedBy, change }: Review): object {
  const { dn, holds } = change
  return { account: key, login, realm, directory, dn, sinceMs, state, approvedBy, holds, reason, why: change.reason }
}
