import { Attribute, Change, Client, EqualityFilter } from 'ldapts'

/**
 * A bare ldapts loop: what a program reaches on this slapd that does nothing but find each user and write the lock.
 * No spool, no store, no LDIF files, nothing recorded, nothing durable but the directory's own write.
 * `node bare-loop.ts '<JSON of BareLoopJob>'`, the password in LDAP_PASSWORD; prints BareLoopResult as JSON.
 */
export interface BareLoopJob {
  readonly url: string
  readonly bindDn: string
  readonly base: string
  /** Accounts `u<from>` and the `count` that follow. */
  readonly from: number
  readonly count: number
  /** The first so many are done before the clock starts, to warm up. */
  readonly warmUp: number
  readonly connections: number
  /** Over all connections. */
  readonly inFlight: number
  /** False: the DN is built from the login, and only the lock is written (the modify-only limit). */
  readonly find: boolean
}

export interface BareLoopResult {
  readonly locks: number
  readonly elapsedMs: number
}

const LOCKED = '000001010000Z'
const TIMEOUT_MS = 30_000

function lockChange(): Change {
  return new Change({
    operation: 'replace',
    modification: new Attribute({ type: 'pwdAccountLockedTime', values: [LOCKED] }),
  })
}

async function findDn(client: Client, job: BareLoopJob, login: string): Promise<string> {
  const { searchEntries } = await client.search(job.base, {
    scope: 'sub',
    filter: new EqualityFilter({ attribute: 'uid', value: login }),
    attributes: ['entryUUID', 'description', 'pwdAccountLockedTime'],
  })
  const dn = searchEntries[0]?.dn
  if (dn === undefined || searchEntries.length !== 1) throw new Error(`${searchEntries.length} entries for ${login}`)
  return dn
}

/** So many lanes share the connections and take the next login when they are done with one. */
async function lockAll(clients: readonly Client[], job: BareLoopJob, logins: readonly string[]): Promise<void> {
  const queue = logins.values()
  const lane = async (index: number): Promise<void> => {
    const client = clients[index % clients.length]
    if (client === undefined) throw new Error('no connection')
    for (const login of queue) {
      const dn = job.find ? await findDn(client, job, login) : `uid=${login},${job.base}`
      await client.modify(dn, lockChange())
    }
  }
  await Promise.all(Array.from({ length: job.inFlight }, (_, index) => lane(index)))
}

async function main(): Promise<void> {
  const job = JSON.parse(process.argv[2] ?? '') as BareLoopJob
  const clients: Client[] = []
  for (let index = 0; index < job.connections; index++) {
    const client = new Client({ url: job.url, timeout: TIMEOUT_MS, connectTimeout: TIMEOUT_MS })
    await client.bind(job.bindDn, process.env['LDAP_PASSWORD'] ?? '')
    clients.push(client)
  }
  try {
    const logins = Array.from({ length: job.count }, (_, index) => `u${job.from + index}`)
    await lockAll(clients, job, logins.slice(0, job.warmUp))
    const startedAt = performance.now()
    await lockAll(clients, job, logins.slice(job.warmUp))
    const elapsedMs = performance.now() - startedAt
    const result: BareLoopResult = { locks: job.count - job.warmUp, elapsedMs }
    process.stdout.write(JSON.stringify(result) + '\n')
  } finally {
    await Promise.all(clients.map((client) => client.unbind()))
  }
}

await main()
