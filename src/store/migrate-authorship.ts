import { sql, type Kysely } from 'kysely'
import { FILES_DUE, LOCKED_BEFORE } from './author-serial.ts'
import type { Tables } from './schema.ts'

/**
 * Which serials this store wrote or adopted, at which account. Older versions did not note it: it follows from the tokens that
 * privacyIDEA confirmed, from registrations among the events and the changes, and from the journal. What waits in `unregister/`
 * is taken in at the next start.
 */
export async function authorshipTable(db: Kysely<Tables>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
  const directories = await db.selectFrom('account').select('directory').distinct().execute()
  if (directories.length === 0) return
  // The directories of a store that was in use were met long ago.
  const met = directories.map(({ directory }) => ({ key: `${LOCKED_BEFORE}${directory}`, value: '[]' }))
  await db
    .insertInto('meta')
    .values([...met, { key: FILES_DUE, value: 'due' }])
    .execute()
}

const RECORDED = `insert into authored_serial (account_key, serial, how, at_ms)`
/** An insert from a select needs a condition in front of its conflict clause. */
const ONCE = `on conflict (account_key, serial) do nothing`

const STATEMENTS = [
  `create table authored_serial (
    account_key text not null, serial text not null, how text not null, at_ms bigint not null,
    primary key (account_key, serial))`,
  `create index authored_serial_named on authored_serial (account_key) where how = 'named'`,
  `${RECORDED} select account_key, serial, 'confirmed', 0 from token where 1 = 1 ${ONCE}`,
  `${RECORDED} select account_key, serial, 'recorded', 0 from event
    where kind = 'register' and serial is not null and account_key is not null ${ONCE}`,
  `${RECORDED} select account_key, serial, 'written', min(planned_ms) from change
    where kind = 'register' and serial is not null and state <> 'not-applied' group by account_key, serial ${ONCE}`,
  `${RECORDED} select subject, json_extract(body, '$.serial'), 'written', min(at_ms) from
    (select subject, at_ms, case when json_valid(body) then body else '{}' end as body from journal where kind = 'planned')
    where json_extract(body, '$.kind') = 'register' and json_extract(body, '$.serial') is not null
    group by subject, json_extract(body, '$.serial') ${ONCE}`,
]
