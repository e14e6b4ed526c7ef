import type { AccountKey } from '../../core/names.ts'
import type { Decision } from '../../ports/store/review.ts'
import type { Database } from '../schema/schema.ts'

/** What people decided about an account, read from the journal. */

/** The newest first. */
export async function readDecisions(db: Database, key: AccountKey, limit: number): Promise<Decision[]> {
  const rows = await db
    .selectFrom('journal')
    .select(['at_ms', 'kind', 'body'])
    .where('subject', '=', key)
    .where('kind', 'in', ['approved', 'rejected', 'adopted'])
    .orderBy('seq', 'desc')
    .limit(limit)
    .execute()
  return rows.flatMap(({ at_ms: atMs, kind, body }) => decisionFrom(kind, Number(atMs), body))
}

interface DecisionBody {
  readonly by?: string
  readonly actor?: string
  readonly reason?: string
  readonly serial?: string
}

function decisionFrom(kind: string, atMs: number, json: string): Decision[] {
  const { by, actor = '', reason: text = '', serial = null } = JSON.parse(json) as DecisionBody
  const base = { atMs, serial, by: by ?? actor, text }
  // Nobody adopted what the LDIF folders proved.
  if (base.by === '') return []
  if (kind === 'adopted') return [{ ...base, what: serial === null ? 'lock adopted' : 'serial adopted' }]
  if (kind === 'approved') return [{ ...base, what: serial === null ? 'lock approved' : 'loss approved' }]
  // The release of a rejected lock is an event of its own.
  return serial === null ? [] : [{ ...base, what: 'loss dismissed' }]
}
