import { judgeLock, nextLook, type LockProblem, type LockVerdict } from '../core/health/verification.ts'
import { directoryOf, type AccountKey, type DirectoryName } from '../core/names.ts'
import type { Clock } from '../ports/clock.ts'
import { READ_LOCKS_MAX, type DirectoryPort, type ServerReading } from '../ports/directory.ts'
import type { QueuePort } from '../ports/store/store.ts'
import type { DueVerification, Verification, VerificationPort } from '../ports/store/verification.ts'

/**
 * Checks every write on every server of a directory, beside the bounded loops: replication takes time, and no account
 * waits for it. Problems are recorded and reported; where somebody removed a lock, its account is marked, and policy
 * decides.
 */
export interface VerifyPorts {
  readonly directory: Pick<DirectoryPort, 'readLocks'>
  readonly verification: VerificationPort
  readonly queue: Pick<QueuePort, 'mark'>
  readonly clock: Clock
}

/** What a person needs to see: a problem that is new, or null for one that has ended. */
export interface VerificationReport {
  readonly key: AccountKey
  readonly problem: LockProblem | null
}

export interface VerifyReport {
  readonly looked: number
  readonly reports: readonly VerificationReport[]
}

/** One round over what is due now; to be called until it finds nothing. */
export async function verifyDue(ports: VerifyPorts): Promise<VerifyReport> {
  const due = await ports.verification.due(ports.clock.nowMs(), READ_LOCKS_MAX)
  const looks = (await Promise.all(byDirectory(due).map(([name, some]) => lookAt(ports, name, some)))).flat()
  const taken = looks.filter(({ due: { wanted }, found }) => wanted === 'locked' && found.verdict.isUnlockedExternally)
  const nowMs = ports.clock.nowMs()
  if (taken.length > 0)
    await ports.queue.mark(
      taken.map((look) => look.due.key),
      nowMs,
    )
  await ports.verification.record(looks)
  return { looked: looks.length, reports: looks.flatMap(reportOf) }
}

interface Look {
  readonly due: DueVerification
  readonly found: Verification
}

async function lookAt(ports: VerifyPorts, name: DirectoryName, due: readonly DueVerification[]): Promise<Look[]> {
  const readings = await ports.directory.readLocks(
    name,
    due.map(({ key }) => key),
  )
  const nowMs = ports.clock.nowMs()
  return due.map((each) => {
    const verdict = verdictOf(each, readings)
    const { afterMs, isReported } = nextLook(verdict, nowMs - each.writtenMs, each.tries)
    return { due: each, found: { verdict, dueMs: afterMs === null ? null : nowMs + afterMs, isReported } }
  })
}

function verdictOf(due: DueVerification, readings: readonly ServerReading[]): LockVerdict {
  const seen = readings.map(({ url, error, locks, unread }) => {
    const failure = error ?? unread?.get(due.key) ?? null
    return { url, failure: failure?.message ?? null, found: locks.get(due.key) ?? null }
  })
  return judgeLock(due, seen)
}

function reportOf({ due, found }: Look): VerificationReport[] {
  if (found.isReported === due.isReported) return []
  return [{ key: due.key, problem: found.isReported ? found.verdict.problem : null }]
}

function byDirectory(due: readonly DueVerification[]): [DirectoryName, DueVerification[]][] {
  return [...Map.groupBy(due, ({ key }) => directoryOf(key))]
}
