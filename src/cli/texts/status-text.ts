import { age } from '../../core/format/age.ts'
import { counted } from '../../core/format/counted.ts'
import { directoryPhrase } from '../../core/guards/guard.ts'
import type { StatusReport } from '../../operations/status/status.ts'
import type { LastDrain } from '../../store/servers/drains.ts'
import { reasonsOf, sinceOf } from './account-text.ts'
import { adviceFor } from './advice.ts'
import type { CliIo } from '../terminal/io.ts'
import { moment, nextMoment, recentMoment } from '../terminal/moment.ts'
import { painter, plain, print, printTable, printText } from '../terminal/output.ts'
import { verificationText } from './verification-text.ts'

/** `lockstep status`, for people. */

/** Digits of the digest: enough to compare by eye. */
const DIGEST_SHOWN = 12
const HOW = { done: 'done', waiting: 'left something undone', failed: 'failed' } as const
const LABEL_WIDTH = 10

export function showStatus(io: CliIo, status: StatusReport): void {
  showHealth(io, status)
  for (const [label, text] of linesOf(status, Date.now())) {
    printText(io, label.padEnd(LABEL_WIDTH) + text, { indent: LABEL_WIDTH })
  }
  showHeld(io, status)
  showLockFindings(io, status)
  showWaits(io, status)
}

function showHealth(io: CliIo, status: StatusReport): void {
  const paint = painter(io)
  const colour = status.health === 'ok' ? 'green' : status.health === 'attention' ? 'yellow' : 'red'
  const how = status.daemon === null && status.lastDrain?.isRecent === true ? ` (drain, ${ago(status.lastDrain)})` : ''
  const why = status.healthReasons.length === 0 ? '' : `: ${status.healthReasons.map(plain).join('; ')}`
  printText(io, `${paint(colour, status.health)}${how}${why}`)
  if (status.dryRunOf !== null) printText(io, `DRY RUN: ${status.dryRunOf}`, { style: ['bold', 'yellow'] })
  for (const { directory, sinceMs, by, reason } of status.pauses) {
    const what = `PAUSED${directoryPhrase(directory)} since ${moment(sinceMs)} by ${plain(by)}: ${plain(reason)}`
    printText(io, what, { style: 'yellow' })
  }
  for (const { kind, firstMs, reason, fix } of status.findings) {
    printText(io, `${kind.toUpperCase()} since ${moment(firstMs)}: ${plain(reason)}`, { style: 'yellow' })
    if (fix !== '') printText(io, `  Next: ${plain(fix)}`, { indent: 4 })
  }
}

/** Label and text. */
function linesOf(status: StatusReport, nowMs: number): (readonly [string, string])[] {
  const { daemon, counts, configuration, lastDrain, privacyidea, mail } = status
  const { accountsKnown, accountsHeld, accountsLockedByUs, queueLength, queueDue, oldestDueMs, eventsNewestMs } = counts
  const serving =
    daemon === null
      ? 'not running'
      : `process ${daemon.pid}, serving since ${moment(daemon.readyMs ?? daemon.startedMs)}`
  const oldestDue = oldestDueMs === null ? '' : `, the oldest for ${age(oldestDueMs)}`
  const newest = eventsNewestMs === null ? '' : `, newest ${recentMoment(eventsNewestMs)}`
  return [
    ['daemon', serving],
    ...(configuration === null ? [] : [configLine(configuration)]),
    ...(lastDrain === null
      ? []
      : [['drain', `${HOW[lastDrain.outcome]}, ${moment(lastDrain.endedMs)}, ${ago(lastDrain)}`] as const]),
    ['accounts', `${accountsKnown} known, ${accountsHeld} held, ${accountsLockedByUs} locked by us`],
    ['queue', `${counted(queueLength, 'account')}, ${queueDue} due${oldestDue}`],
    [
      'events',
      `${status.spoolFiles} in the spool${oldestFile(status)}, ${counts.eventsWaiting} unresolved, ${counts.eventsRefused} refused${newest}`,
    ],
    ...(privacyidea === null ? [] : [['api', sweepLine(privacyidea, nowMs)] as const]),
    ...reviewLine(status),
    ['journal', counted(counts.journalRecords, 'record')],
    ...serverLines(status, nowMs),
    ...(mail === null ? [] : [['mail', mailLine(mail, nowMs)] as const]),
    ...status.notes.map((text) => ['note', plain(text)] as const),
  ]
}

function configLine({ file, loadedMs, digest }: NonNullable<StatusReport['configuration']>): readonly [string, string] {
  return ['config', `${plain(file)}, loaded ${moment(loadedMs)} (${digest.slice(0, DIGEST_SHOWN)})`]
}

function reviewLine({ review }: StatusReport): (readonly [string, string])[] {
  const { waiting, approved, locks, losses, oldestMs } = review
  if (waiting + approved === 0) return []
  const since = oldestMs === null ? '' : ` since ${moment(oldestMs)}`
  const what = `${counted(locks.waiting, 'lock')} and ${counted(losses.waiting, 'loss', 'losses')} waiting`
  return [['review', `${what}${since}, ${approved} approved`]]
}

/** Accounts that are locked or are to be; locks that a breaker holds back are in the lines `review` and `waits`. */
function showHeld(io: CliIo, { locked, lockedCount }: StatusReport): void {
  if (locked.length === 0) return
  print(io, '')
  printTable(io, locked, [
    { title: 'held', value: (account) => account.login ?? account.dn },
    { title: 'holds', value: (account) => account.holds.map((hold) => hold.name).join(' '), movesBelow: true },
    { title: 'since', value: sinceOf, align: 'right' },
    { title: 'standing', value: (account) => account.standing },
    { title: 'verified', value: (account) => verificationText(account.verification) },
    { title: 'reason', value: reasonsOf, movesBelow: true },
  ])
  if (lockedCount > locked.length) {
    printText(io, `… and ${lockedCount - locked.length} more: lockstep accounts --locked shows all`)
  }
}

function showLockFindings(io: CliIo, { lockFindings }: StatusReport): void {
  if (lockFindings.length === 0) return
  print(io, '')
  printTable(io, lockFindings, [
    { title: 'finding', value: (finding) => finding.kind },
    { title: 'account', value: (finding) => finding.login ?? finding.dn, movesBelow: true },
    { title: 'since', value: (finding) => moment(finding.sinceMs), align: 'right' },
    { title: 'why', value: (finding) => finding.reason, movesBelow: true },
  ])
  for (const fix of new Set(lockFindings.map((finding) => finding.fix))) printText(io, `Next: ${plain(fix)}`)
}

function showWaits(io: CliIo, { waits }: StatusReport): void {
  if (waits.length === 0) return
  print(io, '')
  printTable(io, waits, [
    { title: 'waits', value: (wait) => wait.what },
    { title: 'name', value: (wait) => wait.name, movesBelow: true },
    { title: 'why', value: (wait) => wait.why, movesBelow: true },
    { title: 'again', value: (wait) => (wait.againMs === null ? '-' : nextMoment(wait.againMs)) },
  ])
  const codes = new Set(waits.map((wait) => wait.code))
  const steps = new Set([...codes].map(adviceFor).filter((step) => step !== ''))
  for (const step of steps) printText(io, `Next: ${step}`)
}

function oldestFile({ spoolOldestMs }: StatusReport): string {
  return spoolOldestMs === null ? '' : ` (the oldest for ${age(Math.max(0, Date.now() - spoolOldestMs))})`
}

/** One line for each server; none for a directory whose only server is up. */
function serverLines({ servers: seen }: StatusReport, nowMs: number): (readonly [string, string])[] {
  return seen.flatMap(({ directory, servers }) => {
    const isPlain = servers.length === 1 && servers[0]?.is === 'up'
    return isPlain
      ? []
      : servers.map(({ url, is, sinceMs, reason }) => {
          const why = reason === '' ? '' : `: ${plain(reason)}`
          return ['server', `${directory} ${plain(url)} ${is} for ${age(nowMs - sinceMs)}${why}`] as const
        })
  })
}

function ago({ endedMs }: LastDrain): string {
  return `${age(Date.now() - endedMs)} ago`
}

function mailLine({ states, oldestMs, sentMs }: NonNullable<StatusReport['mail']>, nowMs: number): string {
  const oldest = oldestMs === null ? '' : `, the oldest for ${age(nowMs - oldestMs)}`
  const sent = sentMs === null ? 'none sent yet' : `the last one sent ${age(nowMs - sentMs)} ago`
  return `${states.waiting ?? 0} waiting, ${states.gathering ?? 0} gathering${oldest}; ${sent}`
}

function sweepLine({ scan, resync }: NonNullable<StatusReport['privacyidea']>, nowMs: number): string {
  const since = (ms: number | null): string => (ms === null ? 'never yet' : `${age(nowMs - ms)} ago`)
  return `privacyIDEA scanned ${since(scan.doneMs)}, compared in full ${since(resync.doneMs)}`
}
