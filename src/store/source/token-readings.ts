import type { AccountKey } from '../../core/names.ts'
import { TOKEN_STATES, type TokenReading } from '../../core/source/token.ts'
import type { ReadToken } from '../../ports/store/store.ts'
import { serialFromRow } from '../rows/rows.ts'
import type { Database, TokenTable } from '../schema/schema.ts'

/** What people are shown of tokens. Nothing is decided by it. */

const TOKENS_MAX = 1_000

/** Nothing where it was not read now: the earlier values stay. */
export function readingToRow(reading: TokenReading | undefined) {
  if (reading === undefined) return {}
  const { type, state, failCount, failCountMax, readMs } = reading
  return { type, state, fail_count: failCount, fail_count_max: failCountMax, read_ms: readMs }
}

export async function readingsOf(db: Database, key: AccountKey): Promise<ReadToken[]> {
  const rows = await db
    .selectFrom('token')
    .select(['serial', 'type', 'state', 'fail_count', 'fail_count_max', 'read_ms'])
    .where('account_key', '=', key)
    .orderBy('serial')
    .limit(TOKENS_MAX)
    .execute()
  return rows.map((row) => ({ serial: serialFromRow(row.serial), reading: readingFromRow(row) }))
}

type ReadingRow = Record<keyof Pick<TokenTable, 'type' | 'state'>, string | null> &
  Record<keyof Pick<TokenTable, 'fail_count' | 'fail_count_max' | 'read_ms'>, number | null>

/** Null also for a state that another version wrote. */
function readingFromRow({ type, state: text, fail_count, fail_count_max, read_ms }: ReadingRow): TokenReading | null {
  const state = TOKEN_STATES.find((each) => each === text)
  if (state === undefined || read_ms === null) return null
  return { type: type ?? '', state, failCount: fail_count, failCountMax: fail_count_max, readMs: Number(read_ms) }
}
