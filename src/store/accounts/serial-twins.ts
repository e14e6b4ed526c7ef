import { compareEvents, type ResolvedEvent } from '../../core/events/event.ts'
import type { Serial } from '../../core/names.ts'
import { serialKey, type SerialKey } from '../../core/serials/serial-key.ts'
import { oneSpelling } from '../../core/serials/serial-spelling.ts'
import { endFinding, raiseReason } from '../guards/findings.ts'
import { LIVE } from '../rows/literals.ts'
import { keyColumn } from '../rows/serial-column.ts'
import { resolvedFromRow, toJson } from '../rows/rows.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { countOf } from '../rows/queries.ts'

/** Tokens that differ by case only, as the folding of their events found them: one finding names them all. */

const CODE = 'serials-differ-by-case'
/** Pairs that the finding names. */
const NAMED_MAX = 5
/** Pairs that are checked again at a time. */
const CHECKED_MAX = 1_000

/** @param twins the spellings of twins among the keys; all other records of these keys end */
export async function noteTwins(
  db: Database,
  writer: StoreWriter,
  keys: readonly SerialKey[],
  twins: readonly Serial[],
  nowMs: number,
): Promise<void> {
  const wanted = groupsOf(twins)
  const rows = await db.selectFrom('serial_twin').selectAll().where('serial_key', 'in', keys).execute()
  const known = new Map(rows.map((row) => [row.serial_key, row.spellings]))
  const isSame = known.size === wanted.size && [...wanted].every(([key, spellings]) => known.get(key) === spellings)
  if (!isSame) await writer.runSoon((scope) => writeTwins(scope, keys, wanted, nowMs))
}

/** Ends records that no event confirms any more: those of old tokens are dropped in time. @returns how many ended */
export async function checkTwins(db: Database, writer: StoreWriter, nowMs: number): Promise<number> {
  const rows = await db.selectFrom('serial_twin').selectAll().limit(CHECKED_MAX).execute()
  const over: SerialKey[] = []
  for (const { serial_key } of rows) {
    const events = await eventsOfKey(db, serial_key)
    if (oneSpelling(events).twins.length === 0) over.push(serial_key as SerialKey)
  }
  if (over.length > 0) await writer.run((scope) => writeTwins(scope, over, new Map(), nowMs))
  return over.length
}

export function spellingsOf({ spellings }: { readonly spellings: string }): string[] {
  return JSON.parse(spellings) as string[]
}

async function eventsOfKey(db: Database, key: string): Promise<ResolvedEvent[]> {
  const rows = await db
    .selectFrom('event')
    .selectAll()
    .where(keyColumn('serial'), '=', key as SerialKey)
    .where('serial', 'is not', null)
    .where('live', '=', LIVE)
    .execute()
  return rows.map(resolvedFromRow).toSorted(compareEvents)
}

function groupsOf(twins: readonly Serial[]): Map<SerialKey, string> {
  const groups = new Map<SerialKey, Serial[]>()
  for (const serial of twins) groups.set(serialKey(serial), [...(groups.get(serialKey(serial)) ?? []), serial])
  return new Map([...groups].map(([key, spellings]) => [key, toJson(spellings.toSorted())]))
}

async function writeTwins(
  scope: WriteScope,
  keys: readonly SerialKey[],
  wanted: ReadonlyMap<SerialKey, string>,
  nowMs: number,
): Promise<void> {
  const { trx } = scope
  await trx.deleteFrom('serial_twin').where('serial_key', 'in', keys).execute()
  for (const [serial_key, spellings] of wanted) {
    await trx
      .insertInto('serial_twin')
      .values({ serial_key, spellings })
      .onConflict((conflict) => conflict.column('serial_key').doUpdateSet({ spellings }))
      .execute()
  }
  const count = await countOf(trx.selectFrom('serial_twin'))
  if (count === 0) return endFinding(scope, CODE, '', nowMs)
  const named = await trx.selectFrom('serial_twin').selectAll().orderBy('serial_key').limit(NAMED_MAX).execute()
  const serials = named.map((row) => spellingsOf(row).join(' and ')).join(', ')
  await raiseReason(scope, { subject: '', reason: { code: CODE, params: { count, serials } } }, nowMs)
}
