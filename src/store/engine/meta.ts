import type { Database } from '../schema/schema.ts'
import type { Executing } from './prepared.ts'
import type { Statements } from './statements.ts'

/** Rows of `meta`: one value under a key, as JSON unless it says otherwise. */

type Reading = Pick<Database, 'selectFrom'>

/** See WriteScope. */
interface Writing {
  readonly hot: Statements
  readonly on: Executing
}

/** As it stands there; null: nothing does. */
export async function metaText(db: Reading, key: string): Promise<string | null> {
  const row = await db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst()
  return row?.value ?? null
}

/** Null: nothing stands there. */
export async function readMeta<Shape>(db: Reading, key: string): Promise<Shape | null> {
  const text = await metaText(db, key)
  return text === null ? null : (JSON.parse(text) as Shape)
}

export async function writeMeta<Shape>(scope: Writing, key: string, value: Shape): Promise<void> {
  await scope.hot.writeMeta.run(scope.on, { key, value: JSON.stringify(value) })
}

export async function dropMeta({ trx }: { readonly trx: Pick<Database, 'deleteFrom'> }, key: string): Promise<void> {
  await trx.deleteFrom('meta').where('key', '=', key).execute()
}
