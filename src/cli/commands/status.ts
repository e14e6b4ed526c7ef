import { counted } from '../../core/counted.ts'
import type { Command } from 'commander'
import { age } from '../../core/age.ts'
import { directoryPhrase } from '../../core/guard.ts'
import type { StatusReport } from '../../daemon/status.ts'
import type { LastDrain } from '../../store/drains.ts'
import { adviceFor } from '../advice.ts'
import { EXIT } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { moment } from '../moment.ts'
import { painter, plain, print, printData, printTable } from '../output.ts'
import { loadBeside } from '../settings.ts'
import { statusJson } from '../status-json.ts'
import { verificationText } from '../verification-text.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('status')
    .description('health, queue, locked accounts, and what waits and why')
    .option(
      '--check',
      'one line for monitoring, for any user: ends with 0 (ok), 1 (warning), 2 (critical) or 3 (unknown)',
    )
    .option(
      '--health-file <file>',
      'with --check: the file to read (else the key health.file, else /run/lockstep/health)',
    )
    .option('--json', 'print the result as JSON')
    .action(async (options: { check?: boolean; healthFile?: string; json?: boolean }, command: Command) => {
      if (options.check === true) {
        const { runStatusCheck } = await import('../status-check.ts')
        return runStatusCheck(options, command, io)
      }
      const { file, settings, mistake } = await loadBeside(command, io, true)
      const { openStoreOf } = await import('../../daemon/state-store.ts')
      const { readStatus } = await import('../../daemon/status.ts')
      await using store = await openStoreOf(settings, false)
      const status = await readStatus(file, store, mistake?.message ?? null)
      io.exitCode = EXIT.ok
      if (options.json === true) printData(io, statusJson(status))
      else show(io, status)
    })
}

/** Digits of the digest: enough to compare by eye. */
const DIGEST_SHOWN = 12
const HOW = { done: 'done', waiting: 'left something undone', failed: 'failed' } as const

function show(io: CliIo, status: StatusReport): void {
  const paint = painter(io)
  const colour = status.health === 'ok' ? 'green' : status.health === 'attention' ? 'yellow' : 'red'
  const how = status.daemon === null && status.lastDrain?.isRecent === true ? ` (drain, ${ago(status.lastDrain)})` : ''
  const why = status.healthReasons.length === 0 ? '' : `: ${status.healthReasons.map(plain).join('; ')}`
  print(io, `${paint(colour, status.health)}${how}${why}`)
  if (status.dryRunOf !== null) print(io, paint(['bold', 'yellow'], `DRY RUN: ${status.dryRunOf}`))
  for (const { directory, sinceMs, by, reason } of status.pauses) {
    const what = `PAUSED${directoryPhrase(directory)} since ${moment(sinceMs)} by ${plain(by)}: ${plain(reason)}`
    print(io, paint('yellow', what))
  }
  for (const { kind, firstMs, reason, fix } of status.findings) {
    print(io, paint('yellow', `${kind.toUpperCase()} since ${moment(firstMs)}: ${plain(reason)}`))
    if (fix !== '') print(io, `  Next: ${plain(fix)}`)
  }
  const { daemon, counts } = status
  print(
    io,
    `daemon    ${daemon === null ? 'not running' : `process ${daemon.pid}, serving since ${moment(daemon.readyMs ?? daemon.startedMs)}`}`,
  )
  if (status.configuration !== null) {
    const { file, loadedMs, digest } = status.configuration
    print(io, `config    ${plain(file)}, loaded ${moment(loadedMs)} (${digest.slice(0, DIGEST_SHOWN)})`)
  }
  if (status.lastDrain !== null) {
    const { outcome, endedMs } = status.lastDrain
    print(io, `drain     ${HOW[outcome]}, ${moment(endedMs)}, ${ago(status.lastDrain)}`)
  }
  print(
    io,
    `accounts  ${counts.accountsKnown} known, ${counts.accountsHeld} held, ${counts.accountsLockedByUs} locked by us`,
  )
  print(
    io,
    `queue     ${counted(counts.queueLength, 'account')}, ${counts.queueDue} due${counts.oldestDueMs === null ? '' : `, the oldest for ${counts.oldestDueMs} ms`}`,
  )
  print(
    io,
    `events    ${status.spoolFiles} in the spool${oldestFile(status)}, ${counts.eventsWaiting} unresolved, ${counts.eventsRefused} refused${counts.eventsNewestMs === null ? '' : `, newest ${moment(counts.eventsNewestMs)}`}`,
  )
  if (status.privacyidea !== null) print(io, `api       ${sweepLine(status.privacyidea, Date.now())}`)
  if (status.review.waiting + status.review.approved > 0) {
    const { locks, losses, approved, oldestMs } = status.review
    const since = oldestMs === null ? '' : ` since ${moment(oldestMs)}`
    print(
      io,
      `review    ${counted(locks.waiting, 'lock')} and ${counted(losses.waiting, 'loss', 'losses')} waiting${since}, ${approved} approved`,
    )
  }
  print(io, `journal   ${counted(counts.journalRecords, 'record')}`)
  for (const line of serverLines(status, Date.now())) print(io, line)
  if (status.mail !== null) print(io, `mail      ${mailLine(status.mail, Date.now())}`)
  for (const text of status.notes) print(io, `note      ${plain(text)}`)
  if (status.locked.length > 0) {
    print(io, '')
    printTable(io, status.locked, [
      { title: 'held', value: (account) => account.login ?? account.dn },
      { title: 'holds', value: (account) => account.holds.map((hold) => hold.name).join(' '), shrinks: true },
      { title: 'since', value: (account) => (account.holds[0] === undefined ? '-' : moment(account.holds[0].sinceMs)) },
      { title: 'standing', value: (account) => account.standing },
      { title: 'verified', value: (account) => verificationText(account.verification) },
    ])
    if (counts.accountsHeld > status.locked.length)
      print(io, `… lockstep accounts --locked shows all ${counts.accountsHeld}`)
  }
  if (status.lockFindings.length > 0) {
    print(io, '')
    printTable(io, status.lockFindings, [
      { title: 'finding', value: (finding) => finding.kind },
      { title: 'account', value: (finding) => finding.login ?? finding.dn, shrinks: true },
      { title: 'since', value: (finding) => moment(finding.sinceMs) },
      { title: 'why', value: (finding) => finding.reason, shrinks: true },
    ])
    for (const fix of new Set(status.lockFindings.map((finding) => finding.fix))) print(io, `Next: ${plain(fix)}`)
  }
  if (status.waits.length > 0) {
    print(io, '')
    printTable(io, status.waits, [
      { title: 'waits', value: (wait) => wait.what },
      { title: 'name', value: (wait) => wait.name, shrinks: true },
      { title: 'why', value: (wait) => wait.why, shrinks: true },
      { title: 'again', value: (wait) => (wait.againMs === null ? '-' : moment(wait.againMs)) },
    ])
    const codes = new Set(status.waits.map((wait) => wait.code))
    const steps = new Set([...codes].map(adviceFor).filter((step) => step !== ''))
    for (const step of steps) print(io, `Next: ${step}`)
  }
}

function oldestFile({ spoolOldestMs }: StatusReport): string {
  return spoolOldestMs === null ? '' : ` (the oldest for ${age(Math.max(0, Date.now() - spoolOldestMs))})`
}

/** One line for each server; where a directory has one that is up, there is nothing to tell. */
function serverLines({ servers: seen }: StatusReport, nowMs: number): string[] {
  return seen.flatMap(({ directory, servers }) => {
    const isPlain = servers.length === 1 && servers[0]?.is === 'up'
    return isPlain
      ? []
      : servers.map(({ url, is, sinceMs, reason }) => {
          const why = reason === '' ? '' : `: ${plain(reason)}`
          return `server    ${directory} ${plain(url)} ${is} for ${age(nowMs - sinceMs)}${why}`
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
