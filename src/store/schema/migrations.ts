import { sql } from 'kysely'
import { AppError } from '../../core/error.ts'
import type { Database } from './schema.ts'
import { STEPS_OF_0_1 } from './steps-of-0-1.ts'
import { STEPS_OF_0_2 } from './steps-of-0-2.ts'

/** Forward only; the newest comes last. */
const STEPS = [...STEPS_OF_0_1, ...STEPS_OF_0_2]

const VERSION_KEY = 'schema'
/** Of the stores that this version writes. */
export const STORE_SCHEMA = STEPS.length

/** Brings the store to this version. Fails with `store-unavailable` where a newer Lockstep has written it. */
export async function migrate(db: Database, nowMs: number): Promise<void> {
  if ((await versionOf(db)) === STEPS.length) return
  await db.transaction().execute(async (trx) => {
    await sql`create table if not exists meta (key text primary key, value text not null)`.execute(trx)
    const version = await versionOf(trx)
    if (version > STEPS.length) {
      throw new AppError(
        'store-unavailable',
        `the store was written by a newer Lockstep (schema ${version}, known ${STEPS.length})`,
        {
          hint: 'Install that version again, or start with an empty store and run `lockstep rebuild`.',
        },
      )
    }
    for (const step of STEPS.slice(version)) {
      if (typeof step === 'function') await step(trx, nowMs)
      else for (const statement of step) await sql.raw(statement).execute(trx)
    }
    const value = String(STEPS.length)
    await trx
      .insertInto('meta')
      .values({ key: VERSION_KEY, value })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
      .execute()
  })
}

async function versionOf(db: Database): Promise<number> {
  try {
    const row = await db.selectFrom('meta').select('value').where('key', '=', VERSION_KEY).executeTakeFirst()
    return row === undefined ? 0 : Number(row.value)
  } catch (thrown) {
    if (!(await hasTables(db))) return 0
    throw thrown
  }
}

async function hasTables(db: Database): Promise<boolean> {
  const { rows } = await sql`select 1 from sqlite_master where type = 'table' and name = 'meta'`.execute(db)
  return rows.length > 0
}
