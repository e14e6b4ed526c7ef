import type { CompiledQuery, QueryResult } from 'kysely'
import { expect, test } from 'vitest'
import { prepare, type Executing } from '../../../src/store/engine/prepared.ts'
import { prepareStatements } from '../../../src/store/engine/statements.ts'
import { openTestStore } from '../test-store.ts'

test('every statement of the hot path finds its rows by an index, however large the tables are', async () => {
  await using opened = await openTestStore()
  const { db } = opened.store
  for (const [name, statement] of Object.entries(prepareStatements(db))) {
    const text = await sqlOf(statement)
    const steps = opened.raw(`explain query plan ${text}`).map((row) => String(row['detail']))
    const walks = steps.filter((step) => step.startsWith('SCAN') && !step.includes('INDEX'))
    expect(walks, `${name}: ${steps.join('; ')}`).toEqual([])
    // Rows of a moment: sorting them would mean reading all of them.
    expect(
      steps.filter((step) => step.includes('ORDER BY')),
      `${name}: ${steps.join('; ')}`,
    ).toEqual([])
  }
})

/** Whatever values it takes: it is compiled, and not run. */
type AnyStatement = { run(on: Executing, values: never): Promise<unknown> }

async function sqlOf(statement: AnyStatement): Promise<string> {
  let text = ''
  const listener = {
    async executeQuery<Row>(query: CompiledQuery<Row>): Promise<QueryResult<Row>> {
      text = query.sql
      return { rows: [] }
    },
  }
  await statement.run(listener, {} as never)
  return text
}

test('a slot that a statement has not, and a value that is missing, do not compile', async () => {
  await using opened = await openTestStore()
  const { db } = opened.store
  const { readMeta } = prepareStatements(db)
  const wrong = [
    // @ts-expect-error there is no slot of this name
    () => prepare<{ key: string }>()((place) => db.selectFrom('meta').select('value').where('key', '=', place('kee'))),
    // @ts-expect-error the value is missing
    () => readMeta.run(db, {}),
    // @ts-expect-error there is no such value
    () => readMeta.run(db, { key: 'schema', token: '' }),
  ]
  expect(wrong).toHaveLength(3)
  expect((await readMeta.run(db, { key: 'schema' })).rows).toHaveLength(1)
})
