import type { Token } from '../core/token.ts'
import type { Client } from './client.ts'
import { Fields } from './fields.ts'
import { parseToken } from './token.ts'
import type { Query } from './transport.ts'

/** One page of `GET /token/`. */
export interface TokenList {
  readonly tokens: readonly Token[]
  /** Of all pages. */
  readonly count: number
}

export async function listTokens(client: Client, query: Query): Promise<TokenList> {
  const path = '/token/'
  const where = client.where('GET', path)
  const { value } = await client.call({ method: 'GET', path, query })
  const fields = new Fields(value, where)
  return { tokens: fields.list('tokens').map((row) => parseToken(row, where)), count: fields.number('count') }
}
