import { Client } from 'ldapts'
import { Pool } from 'undici'

/**
 * The least that a comparison of all tokens and all marked accounts can take: every page of the API and every page of
 * the directory, asked for one after the other, parsed and thrown away. The same pages, filter and attributes as
 * Lockstep's. `node bare-paging.ts '<JSON of BarePagingJob>'`, the password in LDAP_PASSWORD; prints BarePagingResult.
 */
export interface BarePagingJob {
  readonly sourceUrl: string
  readonly pageSize: number
  readonly url: string
  readonly bindDn: string
  readonly base: string
  readonly filter: string
  readonly attributes: readonly string[]
  readonly pageEntries: number
}

export interface BarePagingResult {
  readonly tokens: number
  readonly accounts: number
  readonly sourceMs: number
  readonly directoryMs: number
  /** Of this process alone, from its start to its end. */
  readonly processorMs: number
}

interface TokenAnswer {
  readonly result: { readonly value: { readonly count: number; readonly tokens: readonly unknown[] } }
}

interface AuthAnswer {
  readonly result: { readonly value: { readonly token: string } }
}

async function pageTokens(job: BarePagingJob): Promise<number> {
  const pool = new Pool(job.sourceUrl, { connections: 1 })
  const login = await pool.request({
    method: 'POST',
    path: '/auth',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'admin', password: 'secret' }),
  })
  const { token } = ((await login.body.json()) as AuthAnswer).result.value
  let seen = 0
  for (let page = 1; ; page++) {
    const path = `/token/?sortby=id&sortdir=asc&page=${page}&pagesize=${job.pageSize}`
    const answer = await pool.request({ method: 'GET', path, headers: { authorization: token } })
    const { tokens, count } = ((await answer.body.json()) as TokenAnswer).result.value
    seen += tokens.length
    if (page * job.pageSize >= count) break
  }
  await pool.close()
  return seen
}

async function pageAccounts(job: BarePagingJob): Promise<number> {
  const client = new Client({ url: job.url })
  await client.bind(job.bindDn, process.env['LDAP_PASSWORD'] ?? '')
  let seen = 0
  const pages = client.searchPaginated(job.base, {
    scope: 'sub',
    filter: job.filter,
    attributes: [...job.attributes],
    paged: { pageSize: job.pageEntries },
  })
  for await (const page of pages) seen += page.searchEntries.length
  await client.unbind()
  return seen
}

const job = JSON.parse(process.argv[2] ?? '') as BarePagingJob
const startedAt = performance.now()
const tokens = await pageTokens(job)
const pagedAt = performance.now()
const accounts = await pageAccounts(job)
const result: BarePagingResult = {
  tokens,
  accounts,
  sourceMs: pagedAt - startedAt,
  directoryMs: performance.now() - pagedAt,
  processorMs: (process.cpuUsage().user + process.cpuUsage().system) / 1000,
}
process.stdout.write(`${JSON.stringify(result)}\n`)
