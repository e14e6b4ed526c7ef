import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createApiLockstep, serveSwept } from '../test/support/api-servers.ts'
import { openReadOnly, type Lockstep } from '../test/support/lockstep.ts'
import { freePort } from '../test/servers/free-port.ts'
import {
  asked,
  RELEASES,
  startPrivacyIdea,
  type PrivacyIdea,
  type ReleaseName,
} from '../test/servers/privacyidea/privacyidea.ts'
import { loginOf, serialOf } from './accounts.ts'
import { openBenchDirectory, type BenchDirectory } from './bench-directory.ts'
import { median, percentile } from './statistics.ts'

/**
 * `npm run bench:api [-- --release 3.14] [--rounds 50]`: how long after privacyIDEA's own answer a lock and an unlock
 * are in the directory, in mode `api`, by webhook and by shim, with a real privacyIDEA and a real slapd; and what that
 * time is made of. Scans are an hour apart, so that only events bring it.
 */

const P50_MAX_MS = 100
const SEEN_WITHIN_MS = 10_000
/** All tokens are on record, the machine being as busy as it is. */
const SETTLED_WITHIN_MS = 180_000
const LOOK_EVERY_MS = 5
/** The daemon is idle again when the next event comes. */
const BETWEEN_ROUNDS_MS = 100
const WARM_UP_ROUNDS = 3
const WAYS = ['webhook', 'script'] as const
const KEY = Buffer.from('12345678901234567890').toString('hex')

/** One transition, in milliseconds after privacyIDEA's answer; those before it are negative. */
interface Steps {
  /** The request that brought it. */
  readonly asked: number
  /** Lockstep took the hint. */
  readonly hinted: number
  /** The reading of privacyIDEA began. */
  readonly reading: number
  /** The change was planned: the reading is done and on record. */
  readonly planned: number
  /** slapd wrote it. */
  readonly written: number
}

interface Bench {
  readonly pi: PrivacyIdea
  readonly directory: BenchDirectory
  readonly lockstep: Lockstep
}

type Transition = 'locked' | 'open'

async function timeOne({ pi, directory, lockstep }: Bench, index: number, wanted: Transition): Promise<Steps> {
  await pause(BETWEEN_ROUNDS_MS)
  const serial = serialOf(index)
  const startedAtMs = Date.now()
  if (wanted === 'open') await pi.ask('POST', '/token/reset', { serial })
  else await asked(pi.url, 'POST', '/validate/check', { user: loginOf(index), realm: 'r1', pass: '1234999999' })
  const answeredAtMs = performance.timeOrigin + performance.now()
  const deadlineMs = answeredAtMs + SEEN_WITHIN_MS
  for (;;) {
    const [writtenAtMs] = (await directory.changeTimes(index, 1, wanted)) ?? []
    if (writtenAtMs !== undefined) {
      const steps = await stepsOf(lockstep, serial, wanted, startedAtMs)
      const after = (atMs: number): number => atMs - answeredAtMs
      return {
        asked: after(startedAtMs),
        hinted: after(steps.hinted),
        reading: after(steps.reading),
        planned: after(steps.planned),
        written: after(writtenAtMs),
      }
    }
    if (Date.now() > deadlineMs) throw new Error(`${loginOf(index)} was not ${wanted} within ${SEEN_WITHIN_MS} ms`)
    await pause(LOOK_EVERY_MS)
  }
}

/** Moments as the record has them, in milliseconds since 1970; those that are whole milliseconds there are so here. */
async function stepsOf(
  lockstep: Lockstep,
  serial: string,
  wanted: Transition,
  sinceMs: number,
): Promise<{ hinted: number; reading: number; planned: number }> {
  const kind = wanted === 'locked' ? 'lock' : 'unlock'
  using store = openReadOnly(lockstep.storeFile)
  const one = (sql: string, ...values: (string | number)[]): number => Number(store.prepare(sql).get(...values)?.['at'])
  const hinted = `select min(taken_at_us) / 1000.0 at from event where source != 'privacyidea' and kind = ? and received_ms >= ?`
  const read = `select max(taken_at_us) / 1000.0 at from event where source = 'privacyidea' and kind = ? and serial = ?`
  return {
    hinted: one(hinted, kind, sinceMs),
    reading: one(read, kind, serial),
    planned: one(`select max(planned_ms) at from change where kind = ? and planned_ms >= ?`, kind, sinceMs),
  }
}

async function newToken({ pi }: Bench, index: number): Promise<void> {
  const serial = serialOf(index)
  const token = { type: 'hotp', serial, otpkey: KEY, genkey: 0, user: loginOf(index), realm: 'r1', pin: '1234' }
  await pi.ask('POST', '/token/init', token)
  await pi.ask('POST', '/token/set', { serial, max_failcount: 1 })
}

/** Binds the handlers and measures. @returns whether each p50 is below the bar */
async function measure(bench: Bench, via: (typeof WAYS)[number], rounds: number): Promise<boolean> {
  const { pi, lockstep } = bench
  const password = join(lockstep.dir, 'admin-password')
  writeFileSync(password, 'secret\n', { mode: 0o600 })
  const login = ['--user', 'admin', '--password-file', password, '--yes']
  const how = via === 'script' ? ['--scripts-dir', pi.scriptsDir] : ['--via', via]
  const ran = await lockstep.cli('privacyidea', 'setup', ...login, ...how)
  if (ran.code !== 0) throw new Error(ran.stderr)
  const lock: Steps[] = []
  const unlock: Steps[] = []
  let requests = 0
  for (let round = 1 - WARM_UP_ROUNDS; round <= rounds; round++) {
    if (round === 1) requests = await requestsOf(pi)
    const index = round + WARM_UP_ROUNDS
    const [locked, opened] = [await timeOne(bench, index, 'locked'), await timeOne(bench, index, 'open')]
    if (round > 0) lock.push(locked)
    if (round > 0) unlock.push(opened)
  }
  const perTransition = ((await requestsOf(pi)) - requests) / (2 * rounds)
  const results = [report(`${via}: lock`, lock), report(`${via}: unlock`, unlock)]
  process.stdout.write(`${via}: ${perTransition.toFixed(1)} requests of the API a transition\n\n`)
  return results.every((isGood) => isGood)
}

/** What the run-time account asked so far, by privacyIDEA's audit log. */
async function requestsOf(pi: PrivacyIdea): Promise<number> {
  const { count } = (await pi.ask('GET', '/audit/', { administrator: 'lockstep', page_size: 1 })) as { count: number }
  return count
}

function report(name: string, all: readonly Steps[]): boolean {
  const line = (what: string, values: readonly number[]): string =>
    `  ${what.padEnd(42)} ${percentile(values, 0.5).toFixed(1).padStart(7)} ${percentile(values, 0.95).toFixed(1).padStart(7)} ms\n`
  const written = all.map((each) => each.written)
  const isGood = median(written) <= P50_MAX_MS
  process.stdout.write(
    `${name}, ${all.length} rounds${' '.repeat(Math.max(1, 36 - name.length))}p50     p95\n` +
      line(`privacyIDEA's answer to slapd's change`, written) +
      line(
        '  answer to hint',
        all.map((each) => each.hinted),
      ) +
      line(
        '  hint to the reading',
        all.map((each) => each.reading - each.hinted),
      ) +
      line(
        '  reading, and its record',
        all.map((each) => each.planned - each.reading),
      ) +
      line(
        '  plan on record, LDIF files, slapd',
        all.map((each) => each.written - each.planned),
      ) +
      line(
        'request to answer, for comparison',
        all.map((each) => -each.asked),
      ) +
      `  ${isGood ? 'pass' : 'MISS'}: p50 at most ${P50_MAX_MS} ms\n`,
  )
  return isGood
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { release: { type: 'string' }, rounds: { type: 'string' } } })
  const release = Object.keys(RELEASES).find((name) => name === (values.release ?? '3.14')) as ReleaseName
  const rounds = Number(values.rounds ?? 50)
  await using directory = await openBenchDirectory(rounds + 2 * WARM_UP_ROUNDS)
  await using pi = await startPrivacyIdea({ release, userStore: directory.slapd })
  const { slapd } = directory
  await using lockstep = await createApiLockstep({ slapd, pi }, { httpPort: await freePort(), scan: '1h' })
  const bench: Bench = { pi, directory, lockstep }
  for (let index = 1; index <= rounds + WARM_UP_ROUNDS; index++) await newToken(bench, index)
  await serveSwept(lockstep)
  await lockstep.settled(SETTLED_WITHIN_MS)
  process.stdout.write(`privacyIDEA ${RELEASES[release]}, in milliseconds\n\n`)
  let isGood = true
  for (const via of WAYS) isGood = (await measure(bench, via, rounds)) && isGood
  return isGood ? 0 : 1
}

process.exitCode = await main()
