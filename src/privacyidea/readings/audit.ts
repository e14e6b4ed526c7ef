import type { AuditRow, AuditStart } from '../../ports/privacyidea.ts'
import type { Client } from '../http/client.ts'
import { Fields } from '../http/fields.ts'
import type { Query } from '../http/transport.ts'

const PATH = '/audit/'
const PAGE_SIZE = 1_000
const PAGES_MAX = 100_000
/** Every request writes a row of its own, so two counts differ slightly. */
const SLACK_ROWS = 100

/**
 * See PrivacyIdeaPort.auditRows. The filter by age moves on with every request, and pages below it would move as well.
 * So one request finds where the rows begin, and then the whole log is paged from there.
 */
export async function* auditRows(client: Client, from: AuditStart): AsyncGenerator<readonly AuditRow[]> {
  const timelimit = `${Math.max(1, Math.ceil(from.sinceMs / 1000))}s`
  const young = await readPage(client, { timelimit, page: 1, page_size: 1 })
  const [first] = young.rows
  if (first === undefined) return
  const all = await readPage(client, { page: 1, page_size: 1 })
  const before = Math.max(0, all.count - young.count - SLACK_ROWS)
  let last = Math.max(first.number - 1, from.afterNumber)
  for (let page = Math.floor(before / PAGE_SIZE) + 1; page <= PAGES_MAX; page++) {
    const { rows } = await readPage(client, { page, page_size: PAGE_SIZE })
    const fresh = rows.filter((row) => row.number > last)
    last = Math.max(last, rows.at(-1)?.number ?? last)
    if (fresh.length > 0) yield fresh
    if (rows.length < PAGE_SIZE) return
  }
}

async function readPage(client: Client, query: Query): Promise<{ rows: readonly AuditRow[]; count: number }> {
  const where = client.where('GET', PATH)
  const { value } = await client.call({ method: 'GET', path: PATH, query: { ...query, sortorder: 'asc' } })
  const fields = new Fields(value, where)
  return { rows: fields.list('auditdata').map((row) => rowOf(new Fields(row, where))), count: fields.number('count') }
}

function rowOf(fields: Fields): AuditRow {
  const text = (name: string): string => fields.textOr(name, '')
  return {
    number: fields.number('number'),
    date: fields.text('date'),
    action: text('action'),
    isSuccess: fields.looseFlag('success'),
    authentication: text('authentication'),
    serial: text('serial'),
    tokenType: text('token_type'),
    user: text('user'),
    realm: text('realm'),
    resolver: text('resolver'),
    administrator: text('administrator'),
    detail: text('action_detail'),
    info: text('info'),
  }
}
