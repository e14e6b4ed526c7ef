import { sql } from 'kysely'
import { reasonText } from '../../core/reasons/reason.ts'
import type { LockVerdict, ServerVerdict, LockProblem } from '../../core/health/verification.ts'
import { NO_HOLDS } from '../rows/literals.ts'
import { readLockProofs } from '../accounts/lock-proofs.ts'
import { reasonFromBody, reasonFromRow } from '../rows/reasons.ts'
import { effectiveFromRow } from '../rows/rows.ts'
import type { AccountRow, Database, VerificationRow } from '../schema/schema.ts'
import type { RecordedProblem } from '../accounts/verifications.ts'

/** Whether locks are there and enforced on every server of their directories, for people. */

export interface VerificationReport {
  /** `locked`: our lock must be there. `open`: we removed it, and it must be gone everywhere. `removed`: others did. */
  readonly wanted: VerificationRow['wanted']
  /** What was written is there on the server that took it. */
  readonly written: LockVerdict['written']
  readonly effective: LockVerdict['effective']
  /** Servers on which it is there. */
  readonly standing: number
  /** Servers on which it is there and known to be enforced. */
  readonly verified: number
  /** Servers in all. */
  readonly of: number
  /** The last check, in milliseconds since 1970; null: none yet. */
  readonly checkedMs: number | null
  /** Each server; empty where there is only one. */
  readonly servers: readonly ServerVerdict[]
  readonly problem: (LockProblem & { readonly sinceMs: number }) | null
}

/** A lock that needs attention. */
export interface LockFinding {
  readonly account: string
  readonly dn: string
  readonly login: string | null
  readonly kind: LockProblem['kind']
  readonly reason: string
  readonly fix: string
  readonly sinceMs: number
}

export async function readVerifications(
  db: Database,
  accounts: readonly AccountRow[],
): Promise<ReadonlyMap<string, VerificationReport>> {
  const keys = accounts.map(({ key }) => key)
  const rows =
    keys.length === 0 ? [] : await db.selectFrom('verification').selectAll().where('account_key', 'in', keys).execute()
  const byKey = new Map(rows.map((row) => [row.account_key, row]))
  const reports = accounts.flatMap((account): [string, VerificationReport][] => {
    const report = reportOf(account, byKey.get(account.key))
    return report === null ? [] : [[account.key, report]]
  })
  return new Map(reports)
}

function reportOf(account: AccountRow, row: VerificationRow | undefined): VerificationReport | null {
  if (row === undefined || (row.wanted === 'locked') !== (account.owned_lock !== null)) return byAccount(account)
  const verdict = row.verdict === null ? null : (JSON.parse(row.verdict) as LockVerdict)
  const { verified = 0, servers = [], effective = 'unknown' } = verdict ?? {}
  return {
    wanted: row.wanted,
    written: row.wanted === 'removed' ? 'no' : (verdict?.written ?? 'unknown'),
    effective: row.wanted === 'removed' ? 'no' : effective,
    standing: servers.filter(({ stands }) => stands === 'yes').length,
    verified,
    of: servers.length,
    checkedMs: row.checked_ms === null ? null : Number(row.checked_ms),
    servers,
    problem: problemOf(row),
  }
}

/** With one server the last reading of the account is enough. */
function byAccount(account: AccountRow): VerificationReport | null {
  if (account.owned_lock === null) return null
  const effective = effectiveFromRow(account.effective) ?? 'unknown'
  const sinceMs = Number(account.updated_ms)
  return {
    wanted: 'locked',
    written: 'yes',
    effective,
    standing: 1,
    verified: effective === 'yes' ? 1 : 0,
    of: 1,
    checkedMs: Number(account.seen_ms),
    servers: [],
    problem:
      effective === 'no'
        ? {
            kind: 'not-effective',
            reason: reasonText(reasonFromRow(account.standing_reason)),
            fix: EFFECT_FIX,
            sinceMs,
          }
        : null,
  }
}

const EFFECT_FIX = 'lockstep doctor shows what to change.'

function problemOf(row: Pick<VerificationRow, 'problem' | 'problem_ms'>): VerificationReport['problem'] {
  if (row.problem === null) return null
  const problem = JSON.parse(row.problem) as RecordedProblem
  return { ...problem, reason: reasonText(reasonFromBody(problem.reason)), sinceMs: Number(row.problem_ms ?? 0) }
}

/** How many locks have a problem of a kind. */
export interface LockTrouble {
  readonly kind: LockProblem['kind']
  readonly count: number
  /** The first of them. */
  readonly account: string
  readonly reason: string
}

export interface LockFindings {
  /** At most so many as were asked for; those that were removed last. */
  readonly findings: readonly LockFinding[]
  /** Of all, by kind. */
  readonly troubles: readonly LockTrouble[]
}

export async function readLockFindings(db: Database, limit: number): Promise<LockFindings> {
  const query = db
    .selectFrom('verification')
    .innerJoin('account', 'account.key', 'verification.account_key')
    .where('verification.problem', 'is not', null)
    // What was locked again since is no longer open.
    .where((w) => w.or([w('verification.wanted', '<>', 'removed'), w('account.owned_lock', 'is', null)]))
    .where((w) => w.or([w('verification.wanted', '<>', 'locked'), w('account.owned_lock', 'is not', null)]))
  // Beside `min`, SQLite takes the other columns from the row of the least.
  const kinds = await query
    .select((s) => [s.fn.countAll<number>().as('n'), s.fn.min('account.key').as('first')])
    .select(['account.dn', 'account.login', 'verification.problem', 'verification.problem_ms'])
    .groupBy(sql`json_extract(verification.problem, '$.kind')`)
    .orderBy(sql`min(verification.wanted)`)
    .execute()
  const rows = await query
    .select(['account.key', 'account.dn', 'account.login', 'verification.problem', 'verification.problem_ms'])
    .orderBy('verification.wanted')
    .orderBy('account.key')
    .limit(limit)
    .execute()
  const findings = rows.flatMap((row): LockFinding[] => {
    const problem = problemOf(row)
    return problem === null ? [] : [{ account: row.key, dn: row.dn, login: row.login, ...problem }]
  })
  const troubles = kinds.flatMap((row): LockTrouble[] => {
    const problem = problemOf(row)
    if (problem === null) return []
    return [{ kind: problem.kind, count: Number(row.n), account: row.login ?? row.dn, reason: problem.reason }]
  })
  return { findings, troubles }
}

/** Locks of ours of which it is not known whether they are enforced, by directory. */
export async function countUnknownEffects(
  db: Database,
  nowMs: number,
): Promise<{ directory: string; locks: number }[]> {
  const proofs = await readLockProofs(db, nowMs)
  const rows = await db
    .selectFrom('account')
    .select((s) => ['directory', s.fn.countAll<number>().as('n')])
    .where((w) => w.or([w('hold_count', '>', NO_HOLDS), w('owned_lock', 'is not', null)]))
    .where('owned_lock', 'is not', null)
    .where((w) => w.or([w('effective', '=', 'unknown'), w('effective', 'is', null)]))
    .groupBy('directory')
    .execute()
  const unproven = rows.filter((row) => !proofs.has(row.directory))
  return unproven.map(({ directory, n }) => ({ directory, locks: Number(n) }))
}
