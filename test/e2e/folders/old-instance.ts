import { cpSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import type { SimToken } from '../../privacyidea/simulator/stock.ts'
import { startSimulator, type Simulator } from '../../privacyidea/simulator/simulator.ts'
import type { LogRow } from '../../privacyidea/simulator/world.ts'
import { runToolOk } from '../../servers/run-tool.ts'
import { startSlapd, type Slapd } from '../../servers/ldap/slapd.ts'
import { startTcpProxy, type TcpProxy } from '../../servers/tcp-proxy.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { createLockstep, type Lockstep } from '../../support/lockstep.ts'

/** What commit 8d13252 left on disk (test/fixtures/8d13252/README.md), with today's program put over it. */

const FIXTURE = fileURLToPath(new URL('../../fixtures/8d13252', import.meta.url))

/** What the store of 8d13252 said when its process was killed. */
export interface OldFacts {
  readonly accounts: readonly { key: string; dn: string; standing: string; hold_count: number }[]
  readonly holds: readonly { account_key: string; name: string; kind: string; until_us: number | null }[]
  /** Names in `lock/`, `unlock/` and `unregister/`. */
  readonly waiting: readonly (readonly string[])[]
}

export interface OldInstance extends AsyncDisposable {
  readonly slapd: Slapd
  /** The program of today, which was not started yet. */
  readonly lockstep: Lockstep
  readonly facts: OldFacts
  /** The server of the directory `dead`: nobody listens there until it is mended. */
  readonly dead: TcpProxy
  /** As it stood; null in the instance without it. */
  readonly simulator: Simulator | null
}

interface OldWorld {
  readonly users: readonly { userId: string; login: string }[]
  readonly tokens: readonly SimToken[]
  readonly lockouts: readonly { userId: string; untilMs: number | null; cause: 'MANUAL' | 'POLICY' }[]
  readonly authenticationLog: readonly LogRow[]
}

export async function openOldInstance(name: 'events' | 'api'): Promise<OldInstance> {
  await using stack = new AsyncDisposableStack()
  const temp = stack.use(await makeTempDir('old'))
  await runToolOk('tar', ['-xzf', join(FIXTURE, `${name}.tar.gz`), '--no-same-owner', '-C', temp.path])
  const slapd = stack.use(await startSlapd({ content: join(temp.path, 'directory.ldif'), dbNoSync: true }))
  const port = Number(new URL(slapd.url).port)
  const [first, second, dead] = await Promise.all([port, port, port].map((each) => startTcpProxy(each)))
  if (first === undefined || second === undefined || dead === undefined) throw new Error('no relay')
  for (const each of [first, second, dead]) stack.use(each)
  await dead.refuse()
  const lockstep = stack.use(await createLockstep(slapd))
  const json = <Shape>(file: string): Shape => JSON.parse(readFileSync(join(temp.path, file), 'utf8')) as Shape
  const simulator = name === 'api' ? stack.use(await startSimulator({ version: '3.14' })) : null
  if (simulator !== null) fill(simulator, json<OldWorld>('privacyidea.json'))
  const places: Record<string, string> = {
    dir: lockstep.dir,
    host: hostname(),
    slapd: `127.0.0.1:${port}`,
    first: `127.0.0.1:${first.port}`,
    second: `127.0.0.1:${second.port}`,
    dead: `127.0.0.1:${dead.port}`,
    privacyidea: simulator === null ? '' : new URL(simulator.url).host,
    // Nobody listens there either.
    smtp: `127.0.0.1:${dead.port}`,
  }
  cpSync(join(temp.path, 'lockstep'), lockstep.dir, { recursive: true, preserveTimestamps: true })
  lockstep.editConfig((yaml) => yaml.replaceAll(/\{(\w+)\}/g, (all, place: string) => places[place] ?? all))
  moveStore(lockstep.storeFile, json('ports.json'), places)
  const owned = stack.move()
  return {
    slapd,
    lockstep,
    facts: json('facts.json'),
    dead,
    simulator,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** The upgrade happens on the same machine and beside the same servers: what names them is put right in the copy. */
function moveStore(
  file: string,
  before: Readonly<Record<string, string>>,
  now: Readonly<Record<string, string>>,
): void {
  const store = new DatabaseSync(file)
  try {
    const columns = [
      ['meta', 'key'],
      ['meta', 'value'],
      ['verification', 'writer'],
      ['verification', 'verdict'],
      ['verification', 'problem'],
      ['queue', 'lease_owner'],
      ['mail', 'lease_owner'],
    ]
    for (const [place, old] of Object.entries(before)) {
      for (const [table = '', column = ''] of columns) {
        const update = `update ${table} set ${column} = replace(${column}, ?, ?) where ${column} is not null`
        store.prepare(update).run(old, now[place] ?? old)
      }
    }
  } finally {
    store.close()
  }
}

function fill({ world }: Simulator, { users, tokens, lockouts, authenticationLog }: OldWorld): void {
  const { stock } = world
  world.admins.set('lockstep', 'lockstep-secret')
  for (const { login, userId } of users) stock.addUser(login, userId)
  for (const { id, serial, ...rest } of tokens.toSorted((a, b) => a.id - b.id)) {
    if (stock.addToken(serial, rest).id !== id) throw new Error(`token ${serial} got another id`)
  }
  for (const { userId, untilMs, cause } of lockouts) {
    world.lockouts.set(userId, untilMs === null ? null : Math.ceil((untilMs - Date.now()) / 1000), cause)
  }
  world.authenticationLog.push(...authenticationLog)
}
