import type { CompiledQuery, QueryResult } from 'kysely'
import { expect, test } from 'vitest'
import { prepare, type Executing } from '../../../src/store/engine/prepared.ts'
import { prepareStatements } from '../../../src/store/engine/statements.ts'
import { openTestStore } from '../test-store.ts'

test('every statement of the hot path finds its rows by an index, however large the tables are', async () => {
  await using opened = await openTestStore()
  const { db } = opened.store
  for (const [name, statement] of Object.entries(prepareStatements(db))) {
    const table = OF_ROWS[name]
    const columns =
      table === undefined ? [] : opened.raw(`pragma table_info(${table})`).map((row) => String(row['name']))
    const text = await sqlOf(statement, [...columns, ...(OTHER_NAMES[name] ?? (table === undefined ? NAMES : []))])
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

test('a statement refuses a row of other columns than its first: they would be left out of the row', async () => {
  await using opened = await openTestStore()
  const { db } = opened.store
  const statement = prepare<{ key: string; value?: string }>()((row) =>
    db.insertInto('meta').values({ value: '', ...row }),
  )
  await statement.run(db, { key: 'first' })
  expect(() => statement.run(db, { key: 'second', value: 'x' })).toThrow('other values')
})

/** Statements that take columns of a table as they are. */
const OF_ROWS: Readonly<Record<string, string>> = {
  insertEvent: 'event',
  assignEvent: 'event',
  postponeEvent: 'event',
  noteAccount: 'account',
  standAccount: 'account',
  insertHold: 'hold',
  markAccount: 'queue',
  claimAccounts: 'queue',
  postponeAccount: 'queue',
  insertChange: 'change',
  insertJournal: 'journal',
  writeMeta: 'meta',
  countLock: 'lock_count',
  insertReview: 'review',
  authorSerial: 'authored_serial',
  nameSerial: 'authored_serial',
}
/** What some of these take besides. */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  claimAccounts: ['now_ms', 'uptime_ms', 'limit'],
  postponeAccount: ['token'],
}
/** What all others take. */
const NAMES = [
  ...[
    'id',
    'key',
    'account_key',
    'serial_key',
    'token',
    'generation',
    'change',
    'kind',
    'subject',
    'state',
    'why',
    'dn',
  ],
  ...['limit', 'limit_id', 'before', 'counted', 'boot', 'owned_lock'],
  ...['now_ms', 'uptime_ms', 'until_ms', 'since_ms', 'after_us'],
]

/** Whatever values it takes: it is compiled, and not run. */
type AnyStatement = { run(on: Executing, values: never): Promise<unknown> }

async function sqlOf(statement: AnyStatement, names: readonly string[]): Promise<string> {
  let text = ''
  const listener = {
    async executeQuery<Row>(query: CompiledQuery<Row>): Promise<QueryResult<Row>> {
      text = query.sql
      return { rows: [] }
    },
  }
  await statement.run(listener, Object.fromEntries(names.map((name) => [name, ''])) as never)
  return text
}

test('a slot that a statement has not, and a value that is missing, do not compile', async () => {
  await using opened = await openTestStore()
  const { db } = opened.store
  const { readMeta } = prepareStatements(db)
  const wrong = [
    // @ts-expect-error there is no slot of this name
    () => prepare<{ key: string }>()(({ kee }) => db.selectFrom('meta').select('value').where('key', '=', kee)),
    // @ts-expect-error the value is missing
    () => readMeta.run(db, {}),
    // @ts-expect-error there is no such value
    () => readMeta.run(db, { key: 'schema', token: '' }),
  ]
  expect(wrong).toHaveLength(3)
  expect((await readMeta.run(db, { key: 'schema' })).rows).toHaveLength(1)
})
