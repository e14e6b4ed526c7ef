import type { EvidenceFile } from '../../ports/store/evidence.ts'
import { readWorker, WORKER_KEY } from '../engine/process-owner.ts'
import type { Database } from '../schema/schema.ts'
import { dropMeta, readMeta } from '../engine/meta.ts'
import type { WriteScope } from '../engine/store-writer.ts'

/**
 * The age of the record before anything was written to it: later records touch accounts, and prove nothing of the
 * LDIF folders. Kept for each folder from the first process that opens the store until that folder is compared with the
 * record; while a process works on accounts, that was done.
 */

/** Records at the end of the journal that are read for the newest time: clocks are put back by less. */
const NEWEST_RECORDS = 1_000
const AGE_KEY = 'record-age '
const FOLDERS: readonly EvidenceFile['folder'][] = ['unlock', 'unregister']

/** To be called where the store is opened for writing, before anything is written. The oldest one stays. */
export async function noteRecordAge(db: Database, nowMs: number): Promise<void> {
  const rows = await db.selectFrom('meta').selectAll().where('key', 'like', `${WORKER_KEY}%`).execute()
  if (rows.some((row) => readWorker(row, nowMs).isAlive)) return
  const newestMs = await journalNewestMs(db)
  if (newestMs === null) return
  const values = FOLDERS.map((folder) => ({ key: AGE_KEY + folder, value: String(newestMs) }))
  const known = await db.selectFrom('meta').select('key').where('key', 'like', `${AGE_KEY}%`).execute()
  if (known.length === values.length) return
  await db
    .insertInto('meta')
    .values(values)
    .onConflict((conflict) => conflict.column('key').doNothing())
    .execute()
}

/** In milliseconds since 1970; null: not kept, the record of now is that of before. */
export function recordAgeMs(db: Database, folder: EvidenceFile['folder']): Promise<number | null> {
  return readMeta<number>(db, AGE_KEY + folder)
}

/** The folder was compared with the record. */
export function forgetRecordAge(scope: WriteScope, folder: EvidenceFile['folder']): Promise<void> {
  return dropMeta(scope, AGE_KEY + folder)
}

export async function journalNewestMs(db: Database): Promise<number | null> {
  const rows = await db.selectFrom('journal').select('at_ms').orderBy('seq', 'desc').limit(NEWEST_RECORDS).execute()
  return rows.length === 0 ? null : rows.reduce((newest, row) => Math.max(newest, Number(row.at_ms)), 0)
}
