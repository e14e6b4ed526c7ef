import type { Clock } from '../../ports/clock.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'
import { dropMeta, writeMeta } from '../engine/meta.ts'

/**
 * Proof that a lock is enforced, from a trial (`lockstep doctor --probe` with the test account's password):
 * the only knowledge of a directory whose password policy may not be read.
 */

const KEY = 'lock-proof '
/** A policy may be changed meanwhile, unobserved: an older proof is none. */
const PROOF_MAX_AGE_MS = 90 * 86_400_000

export interface LockProof {
  readonly atMs: number
  /** The server that refused the bind. */
  readonly url: string
}

export function openLockProofs(db: Database, writer: StoreWriter, clock: Clock) {
  return {
    /** @param url null: the trial showed that a lock is not enforced */
    async note(directory: string, url: string | null) {
      const key = `${KEY}${directory}`
      await writer.run((scope) =>
        url === null ? dropMeta(scope, key) : writeMeta<LockProof>(scope, key, { atMs: clock.nowMs(), url }),
      )
    },
    /** By the name of the directory; those that are too old are left out. */
    all: () => readLockProofs(db, clock.nowMs()),
  }
}

export async function readLockProofs(db: Database, nowMs: number): Promise<ReadonlyMap<string, LockProof>> {
  const rows = await db.selectFrom('meta').selectAll().where('key', 'like', `${KEY}%`).execute()
  const proofs = rows.map((row) => [row.key.slice(KEY.length), JSON.parse(row.value) as LockProof] as const)
  return new Map(proofs.filter(([, { atMs }]) => nowMs - atMs <= PROOF_MAX_AGE_MS))
}
