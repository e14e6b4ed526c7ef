import type { CompiledQuery, QueryResult } from 'kysely'
import { expect, test } from 'vitest'
import { prepareStatements } from '../../src/store/statements.ts'
import { openTestStore } from './test-store.ts'

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

type AnyStatement = ReturnType<typeof prepareStatements>[keyof ReturnType<typeof prepareStatements>]

async function sqlOf(statement: AnyStatement): Promise<string> {
  let text = ''
  const listener = {
    async executeQuery<Row>(query: CompiledQuery<Row>): Promise<QueryResult<Row>> {
      text = query.sql
      return { rows: [] }
    },
  }
  await statement.run(listener, {})
  return text
}
