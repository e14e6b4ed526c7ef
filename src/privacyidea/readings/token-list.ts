import type { OddToken } from '../../ports/privacyidea.ts'
import type { Token } from '../../core/source/token.ts'
import type { Client } from '../http/client.ts'
import { Fields } from '../http/fields.ts'
import { parseToken } from './token.ts'
import type { Query } from '../http/transport.ts'

/** One page of `GET /token/`. */
export interface TokenList {
  /** Includes tokens with unreadable fields, provided that serial and id are readable; their owner is `unreadable`. */
  readonly tokens: readonly Token[]
  /** Rows that are no tokens, or lack necessary fields: they do not affect the others. */
  readonly odd: readonly OddToken[]
  /** Of this page, including odd ones. */
  readonly rows: number
  /** Of all pages. */
  readonly count: number
}

export async function listTokens(client: Client, query: Query): Promise<TokenList> {
  const path = '/token/'
  const where = client.where('GET', path)
  const { value } = await client.call({ method: 'GET', path, query })
  const fields = new Fields(value, where)
  const rows = fields.list('tokens')
  const read = rows.map((row) => parseToken(row))
  return {
    tokens: read.flatMap(({ token }) => (token === null ? [] : [token])),
    odd: read.flatMap(({ odd }) => (odd === null ? [] : [odd])),
    rows: rows.length,
    count: fields.number('count'),
  }
}
