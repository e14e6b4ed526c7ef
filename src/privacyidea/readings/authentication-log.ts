import { parseLogin, parseRealm, parseResolverName, parseSerial, parseUserId } from '../../core/names.ts'
import type { AuthenticationMark, AuthenticationRow, AuthenticationTail } from '../../ports/privacyidea.ts'
import type { Client } from '../http/client.ts'
import { Fields } from '../http/fields.ts'
import { hasConditionalAccess } from './lockouts.ts'
import type { Query } from '../http/transport.ts'

const PATH = '/authenticationlog/'
const PAGE_SIZE = 1_000
const PAGES_MAX = 10
/** Of the newest rows the first one that can be read gives the start. */
const NEWEST_ROWS = 20
/** Rows of several workers may come a little out of the order of their times. */
const OVERLAP_MS = 2_000

/** See PrivacyIdeaPort.authenticationLog. */
export async function authenticationLog(client: Client, after: AuthenticationMark | null): Promise<AuthenticationTail> {
  if (!hasConditionalAccess(await client.version())) return { isSupported: false, rows: [], mark: null }
  if (after === null) {
    const [newest] = (await rowsOf(client, { sort_order: 'desc', page: 1, page_size: NEWEST_ROWS })).rows
    return { isSupported: true, rows: [], mark: newest === undefined ? null : markOf(newest) }
  }
  const rows: AuthenticationRow[] = []
  const start = new Date(after.atMs - OVERLAP_MS).toISOString()
  for (let page = 1; page <= PAGES_MAX; page++) {
    const found = await rowsOf(client, { start_time: start, sort_order: 'asc', page, page_size: PAGE_SIZE })
    const lastId = rows.at(-1)?.id ?? after.id
    rows.push(...found.rows.filter((row) => row.id > lastId))
    if (found.count < PAGE_SIZE) break
  }
  const last = rows.at(-1)
  return { isSupported: true, rows, mark: last === undefined ? after : markOf(last) }
}

function markOf({ id, atMs }: AuthenticationRow): AuthenticationMark {
  return { id, atMs }
}

/** An unreadable row never stops the others: it is one event less. */
async function rowsOf(
  client: Client,
  query: Query,
): Promise<{ readonly rows: readonly AuthenticationRow[]; readonly count: number }> {
  const where = client.where('GET', PATH)
  const { value } = await client.call({ method: 'GET', path: PATH, query: { ...query, sort_column: 'id' } })
  const rows = new Fields(value, where).list('auth_logs')
  return { rows: rows.flatMap((row) => rowOf(row, where)), count: rows.length }
}

function rowOf(row: unknown, where: string): AuthenticationRow[] {
  try {
    const fields = new Fields(row, where)
    const atMs = Date.parse(fields.text('timestamp'))
    if (Number.isNaN(atMs)) return []
    return [
      {
        id: fields.number('id'),
        atMs,
        type: fields.text('event_type'),
        serial: parseSerial(fields.textOr('serial', '')),
        login: parseLogin(fields.textOr('username', '')),
        realm: parseRealm(fields.textOr('realm', '')),
        resolver: parseResolverName(fields.textOr('resolver', '')),
        userId: parseUserId(fields.textOr('uid', '')),
      },
    ]
  } catch {
    return []
  }
}
