import { Client } from 'ldapts'
import { startSlapd, type Slapd, type SlapdOptions } from '../test/servers/ldap/slapd.ts'
import { accountsLdif, loginOf } from './accounts.ts'

const TIMEOUT_MS = 30_000
const READS_IN_FLIGHT_MAX = 32
const PEOPLE_DN = 'ou=people,dc=example,dc=org'

/** A throw-away slapd with its default durability, full of accounts, and a way to see what happened to them. */
export interface BenchDirectory extends AsyncDisposable {
  readonly slapd: Slapd
  /**
   * When slapd last changed each of the accounts `from` and the following, in milliseconds since 1970 with slapd's own
   * microseconds (entryCSN), in order of time. Null while one of them is not in the wanted state yet.
   */
  changeTimes(from: number, count: number, wanted: 'locked' | 'open'): Promise<readonly number[] | null>
}

/** @param options further lines for slapd.conf */
export async function openBenchDirectory(
  accounts: number,
  options: Pick<SlapdOptions, 'globalConfig' | 'databaseConfig'> = {},
): Promise<BenchDirectory> {
  await using opened = new AsyncDisposableStack()
  const slapd = opened.use(await startSlapd({ ...options, users: 0, extraLdif: accountsLdif(PEOPLE_DN, accounts) }))
  const client = new Client({ url: slapd.url, timeout: TIMEOUT_MS, connectTimeout: TIMEOUT_MS })
  opened.defer(() => client.unbind())
  await client.bind(slapd.adminDn, slapd.adminPassword)
  const owned = opened.move()
  return {
    slapd,
    changeTimes: (from, count, wanted) => readChangeTimes(client, from, count, wanted),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function readChangeTimes(
  client: Client,
  from: number,
  count: number,
  wanted: 'locked' | 'open',
): Promise<readonly number[] | null> {
  // From the last on: while work goes on, the last is not done, and one look is enough to know.
  const indexes = Array.from({ length: count }, (_, offset) => from + count - 1 - offset).values()
  const times: number[] = []
  let unwanted = 0
  const readNext = async (): Promise<boolean> => {
    const index = unwanted > 0 ? undefined : indexes.next().value
    if (index === undefined) return false
    const { searchEntries } = await client.search(`uid=${loginOf(index)},${PEOPLE_DN}`, {
      scope: 'base',
      attributes: ['entryCSN', 'pwdAccountLockedTime'],
    })
    const entry = searchEntries[0]
    const locked = [entry?.['pwdAccountLockedTime'] ?? []].flat().length > 0
    if (locked !== (wanted === 'locked')) unwanted++
    times.push(csnTime(String(entry?.['entryCSN'])))
    return true
  }
  const lane = async (): Promise<void> => {
    while (await readNext());
  }
  await readNext()
  await Promise.all(Array.from({ length: READS_IN_FLIGHT_MAX }, lane))
  return unwanted > 0 ? null : times.toSorted((a, b) => a - b)
}

/** `20261124101530.123456Z#…` (slapd's change sequence number) in milliseconds since 1970. */
export function csnTime(csn: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\.(\d{6})Z#/.exec(csn)
  if (parts === null) throw new Error(`not an entryCSN: ${csn}`)
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, micros = 0] = parts.slice(1).map(Number)
  return Date.UTC(year, month - 1, day, hour, minute, second) + micros / 1000
}

/** Changes a second between the first and the last of the times. */
export function rateOf(times: readonly number[]): number {
  const first = times[0]
  const last = times.at(-1)
  if (first === undefined || last === undefined || last <= first) throw new Error('too few changes for a rate')
  return ((times.length - 1) * 1000) / (last - first)
}
