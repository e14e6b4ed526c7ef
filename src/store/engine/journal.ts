import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { AppError } from '../../core/error.ts'
import type { Database, JournalRow, Tables } from '../schema/schema.ts'
import type { Executing } from './prepared.ts'
import type { Statements } from './statements.ts'
import { metaText } from './meta.ts'

/**
 * The journal: append-only, each record holding the hash of the one before. The hash covers every field, so that a
 * record that was changed, removed or moved breaks the chain at its place; the head, kept apart, shows a cut-off end.
 * The chain begins with record 1, or after one that a `pruned` record further on names: the beginning is proved by the
 * chain itself.
 */

export type JournalKind =
  | 'event'
  | 'refused'
  | 'ended'
  | 'planned'
  | 'applied'
  | 'not-applied'
  | 'relabelled'
  | 'standing'
  | 'drift'
  | 'paused'
  | 'resumed'
  | 'rebuilt'
  | 'adopted'
  | 'mirroring'
  | 'mirrored'
  | 'directory-identity'
  | 'source-identity'
  | 'archived'
  | 'pruned'
  | 'finding'
  | 'approved'
  | 'rejected'
  | 'breaker-resumed'
  | 'loss-held'
  | 'loss-breaker-resumed'
  | 'enrolment'
  | 'arrived'
  | 'counts-as-others'
  | 'reloaded'
  | 'retired'
  | 'retirement-ended'

export interface JournalEntry {
  readonly atMs: number
  readonly kind: JournalKind
  readonly subject: string
  /** Plain data; never a secret. */
  readonly body: unknown
}

export const GENESIS_HASH = '0'.repeat(64)
const HEAD_KEY = 'journal-head'
const VERIFY_PAGE = 2_000

export function recordHash(record: Omit<JournalRow, 'hash'>): string {
  const text = JSON.stringify([record.seq, record.at_ms, record.kind, record.subject, record.body, record.prev_hash])
  return createHash('sha256').update(text).digest('hex')
}

export interface Head {
  readonly seq: number
  readonly hash: string
}

export async function readHead(db: Kysely<Tables>): Promise<Head> {
  return parseHead((await metaText(db, HEAD_KEY)) ?? undefined)
}

function parseHead(text: string | undefined): Head {
  if (text === undefined) return { seq: 0, hash: GENESIS_HASH }
  const [seq, hash] = text.split(' ')
  return { seq: Number(seq), hash: hash ?? GENESIS_HASH }
}

/** Appends within a transaction; the head row is what makes concurrent writers take turns. */
export async function appendJournal(on: Executing, hot: Statements, entries: readonly JournalEntry[]): Promise<void> {
  if (entries.length === 0) return
  let head = parseHead((await hot.readMeta.run(on, { key: HEAD_KEY })).rows[0]?.value)
  for (const entry of entries) {
    const record = {
      seq: head.seq + 1,
      at_ms: entry.atMs,
      kind: entry.kind,
      subject: entry.subject,
      body: JSON.stringify(entry.body),
      prev_hash: head.hash,
    }
    const hash = recordHash(record)
    await hot.insertJournal.run(on, { ...record, hash })
    head = { seq: record.seq, hash }
  }
  await hot.writeMeta.run(on, { key: HEAD_KEY, value: `${head.seq} ${head.hash}` })
}

export interface ChainFault {
  /** The record at which the chain breaks. */
  readonly seq: number
  readonly what: string
}

/** The records from a sequence number on, page by page. */
export async function* journalRows(db: Database, fromSeq: number): AsyncGenerator<JournalRow> {
  for (let after = fromSeq - 1; ;) {
    const rows = await db
      .selectFrom('journal')
      .selectAll()
      .where('seq', '>', after)
      .orderBy('seq')
      .limit(VERIFY_PAGE)
      .execute()
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < VERIFY_PAGE) return
    after = last.seq
  }
}

/** Compares the newest record with the head, both read at one moment. */
export async function headFault(db: Database): Promise<ChainFault | null> {
  return db.transaction().execute(async (trx) => {
    const head = await readHead(trx)
    const last = await trx
      .selectFrom('journal')
      .select(['seq', 'hash'])
      .orderBy('seq', 'desc')
      .limit(1)
      .executeTakeFirst()
    if (last === undefined || (last.seq === head.seq && last.hash === head.hash)) return null
    return { seq: last.seq, what: `the journal ends at record ${last.seq}, its head names record ${head.seq}` }
  })
}

/** Nothing is appended to a journal whose end is not the one that the head names: it would start a second chain. */
export async function checkHead(db: Database): Promise<void> {
  const fault = await headFault(db)
  if (fault === null) return
  throw new AppError('store-corrupt', fault.what, {
    hint: 'Run `lockstep journal --verify` to see where the chain breaks, and keep a copy of the store.',
  })
}
