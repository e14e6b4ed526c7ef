import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { MAY_ARRIVE_MS } from '../../../src/core/account/late.ts'
import { parseSerial, type AccountKey, type Login } from '../../../src/core/names.ts'
import { wire } from '../../../src/app/wiring.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import type { DirectorySettings } from '../../../src/core/settings/settings.ts'
import { reconcileAccount } from '../../../src/reconcile/account/reconcile-account.ts'
import type { Ports } from '../../../src/reconcile/ports.ts'
import { openStore, type Store } from '../../../src/store/store.ts'
import { loginOf } from '../../directory/contract.ts'
import { directorySettings } from '../../directory/directory-settings.ts'
import { ds389Settings } from '../../directory/ds389/ds389-world.ts'
import { startDs389, type Ds389 } from '../../servers/ldap/ds389.ts'
import { startSlapd, type Slapd, type SlapdOptions } from '../../servers/ldap/slapd.ts'
import { startTcpProxy, type TcpProxy } from '../../servers/tcp-proxy.ts'
import { MemoryLdif } from '../../simulation/memory-ldif.ts'
import { NO_GUARDS, POLICY, RESYNC } from '../../simulation/usual-settings.ts'

/** On a real slapd: one process whose writes a network holds back, and another one on the same store that does not wait. */

const HIDDEN = (attribute: string): string => `access to attrs=${attribute} by * none\n`

/** A directory server, and what others do to one of its users. */
interface Backend {
  readonly url: string
  readonly login: Login
  settings(url: string): DirectorySettings
  canBind(): Promise<boolean>
  /** With a wrong password. */
  failToBind(): Promise<unknown>
  /** As the administrator. @param lines of a change record of the user's entry */
  edit(lines: string): Promise<void>
}

function slapdBackend(slapd: Slapd): Backend {
  const dn = slapd.userDn('u1')
  return {
    url: slapd.url,
    login: loginOf('u1'),
    settings: (url) => directorySettings({ ...slapd, url }),
    canBind: () => slapd.ldapwhoami(dn, slapd.userPassword),
    failToBind: () => slapd.ldapwhoami(dn, 'wrong'),
    async edit(lines) {
      expect((await slapd.ldapmodify(`dn: ${dn}\nchangetype: modify\n${lines}\n`)).code).toBe(0)
    },
  }
}

function ds389Backend(ds: Ds389): Backend {
  const dn = ds.userDn('u1')
  return {
    url: ds.url,
    login: loginOf('u1'),
    settings: (url) => ds389Settings(ds, { urls: [url], caFile: null }),
    canBind: async () => (await ds.bind(dn, ds.userPassword)).code === 0,
    failToBind: () => ds.bind(dn, 'wrong'),
    edit: (lines) => ds.edit(`dn: ${dn}\nchangetype: modify\n${lines}\n`),
  }
}

class Site implements AsyncDisposable {
  readonly backend: Backend
  readonly proxy: TcpProxy
  readonly store: Store
  readonly ldif = new MemoryLdif(() => undefined)
  readonly #stack: AsyncDisposableStack
  /** Through the proxy, and past it. */
  readonly #held: Ports
  readonly #direct: Ports
  readonly #clock: { aheadMs: number; nowMs(): number; random(): number }

  private constructor(
    stack: AsyncDisposableStack,
    parts: Pick<Site, 'backend' | 'proxy' | 'store'>,
    clock: Site['clock'],
  ) {
    this.#stack = stack
    this.backend = parts.backend
    this.proxy = parts.proxy
    this.store = parts.store
    this.#clock = clock
    const { ldif } = this
    const settings = { policy: POLICY, guards: NO_GUARDS, resync: RESYNC }
    const portsTo = (url: string): Ports => {
      const directories = [this.backend.settings(url)]
      const directory = stack.use(openDirectories({ directories, realms: {} }, clock))
      const wired = { settings, clock, store: this.store, directory, ldif, source: null, newId: () => newId(clock) }
      return wire(wired).ports
    }
    this.#held = portsTo(`ldap://127.0.0.1:${this.proxy.port}`)
    this.#direct = portsTo(this.backend.url)
  }

  static async open(options: SlapdOptions): Promise<Site> {
    const stack = new AsyncDisposableStack()
    const slapd = stack.use(await startSlapd({ users: 1, dbNoSync: true, ...options }))
    return Site.on(slapdBackend(slapd), stack)
  }

  static async on(backend: Backend, stack: AsyncDisposableStack): Promise<Site> {
    const proxy = stack.use(await startTcpProxy(Number(new URL(backend.url).port)))
    const clock = { aheadMs: 0, nowMs: () => Date.now() + clock.aheadMs, random: () => 0.5 }
    const boot = { bootId: 'test', uptimeMs: () => clock.nowMs() }
    const store = stack.use(await openStore({ file: ':memory:', clock, lockTtlMs: null, willWrite: true, boot }))
    return new Site(stack, { backend, proxy, store }, clock)
  }

  get clock() {
    return this.#clock
  }

  async key(): Promise<AccountKey> {
    return (await this.#direct.directory.findByLogin(this.login, null)).key
  }

  async say(kind: 'lock' | 'unlock'): Promise<void> {
    const { key, dn } = await this.#direct.directory.findByLogin(this.login, null)
    const about = {
      serial: parseSerial('S1'),
      login: this.login,
      realm: null,
      actor: '',
      reason: null,
      untilUs: null,
    }
    const event = { id: randomUUID(), kind, ...about, takenAtUs: this.clock.nowMs() * 1000, source: 'shim' as const }
    this.clock.aheadMs += 1
    await this.store.inbox.take([event], [])
    const found = { key, dn, login: this.login, realm: null, attributeSerials: [] }
    await this.store.inbox.recordResolutions([{ kind: 'resolved', event, ...found }], 0)
  }

  /** What is due is worked on. */
  async work(how: 'held' | 'direct' = 'direct'): Promise<void> {
    const ports = how === 'held' ? this.#held : this.#direct
    for (const claim of await this.store.queue.claim(8, this.clock.nowMs())) await reconcileAccount(claim, ports)
  }

  /** The write of what is due is held back, and given up by the process that made it. */
  async workAndLose(): Promise<() => Promise<void>> {
    const held = this.proxy.holdNextModify()
    const working = this.work('held')
    await held.isHeld
    this.proxy.cut()
    await working
    return () => held.deliver()
  }

  /** The write of what is due is made, and its answer lost. */
  async workUnheard(): Promise<void> {
    this.proxy.loseAnswerTo('modify')
    await this.work('held')
  }

  /** As `pass`, on the server of the lost answer. */
  async passHeld(ms: number): Promise<void> {
    this.clock.aheadMs += ms
    await this.work('held')
  }

  async pass(ms: number): Promise<void> {
    this.clock.aheadMs += ms
    await this.work()
  }

  async adopt(): Promise<void> {
    await this.store.records.orderAdoption(await this.key(), { actor: 'anna', reason: 'it is ours' })
    await this.work()
  }

  get login(): Login {
    return this.backend.login
  }

  canBind(): Promise<boolean> {
    return this.backend.canBind()
  }

  admin(lines: string): Promise<void> {
    return this.backend.edit(lines)
  }

  async findings(): Promise<string[]> {
    return (await this.store.findings.open()).map(({ kind }) => kind)
  }

  async events(kind: string): Promise<number> {
    return (await this.store.db.selectFrom('event').select('id').where('kind', '=', kind).execute()).length
  }

  async journal(kind: string): Promise<number> {
    return (await this.store.db.selectFrom('journal').select('seq').where('kind', '=', kind).execute()).length
  }

  /** Locked and unlocked by the other process, while a lock is on its way; then it arrives. */
  async lateLock(): Promise<void> {
    await this.say('lock')
    const deliver = await this.workAndLose()
    await this.pass(6_000)
    expect(await this.canBind()).toBe(false)
    await this.say('unlock')
    await this.work()
    expect(await this.canBind()).toBe(true)
    await deliver()
  }

  /** Unlocked and locked again by the other process, while an unlock is on its way; then it arrives. */
  async lateUnlock(): Promise<void> {
    await this.say('lock')
    await this.work()
    await this.say('unlock')
    const deliver = await this.workAndLose()
    await this.pass(6_000)
    expect(await this.canBind()).toBe(true)
    await this.say('lock')
    await this.work()
    expect(await this.canBind()).toBe(false)
    await deliver()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

let ids = 0
function newId({ nowMs }: { nowMs(): number }): string {
  return `${nowMs().toString(36)}-${String(++ids).padStart(6, '0')}`
}

test.each([
  ['and who wrote last can be read', HIDDEN('entryCSN')],
  ['and who wrote last is hidden', HIDDEN('entryCSN,modifiersName')],
])('a lock that arrives after it was undone is found by itself and released: %s', async (_name, accessRules) => {
  await using site = await Site.open({ accessRules })
  await site.lateLock()
  expect(await site.canBind()).toBe(false)
  await site.pass(30_000)
  expect(await site.canBind()).toBe(true)
  expect(await site.journal('arrived')).toBe(1)
  expect(await site.findings()).toEqual([])
})

test('a late lock beside which somebody else has written is reported, left, and released by a person who adopts it', async () => {
  await using site = await Site.open({ accessRules: HIDDEN('entryCSN') })
  await site.lateLock()
  await site.admin('replace: sn\nsn: Other')
  await site.pass(30_000)
  expect(await site.canBind()).toBe(false)
  expect(await site.findings()).toEqual(['late-lock-unclear'])
  // Our own next write to the entry does not make it ours.
  await site.pass(2 * MAY_ARRIVE_MS)
  expect(await site.findings()).toEqual(['late-lock-unclear'])
  await site.adopt()
  expect(await site.canBind()).toBe(true)
  expect(await site.journal('adopted')).toBe(1)
  expect(await site.findings()).toEqual([])
})

test('an administrator’s own equal lock is left alone, also while a lock of ours may still arrive', async () => {
  await using site = await Site.open({ accessRules: HIDDEN('entryCSN') })
  await site.say('lock')
  await site.workAndLose()
  await site.say('unlock')
  await site.work()
  await site.admin('add: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z')
  await site.pass(MAY_ARRIVE_MS + 1)
  expect(await site.canBind()).toBe(false)
  expect(await site.findings()).toEqual(['late-lock-unclear'])
  await site.admin('delete: pwdAccountLockedTime')
  await site.pass(4_000_000)
  expect(await site.findings()).toEqual([])
})

const ADMINS_LOCK = 'add: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z'

test('a lock that an administrator set while ours was on its way is not taken for ours, and never released', async () => {
  await using site = await Site.open({})
  await site.say('lock')
  await site.workAndLose()
  await site.admin(ADMINS_LOCK)
  await site.passHeld(6_000)
  expect(await site.findings()).toEqual(['late-lock-unclear'])
  await site.say('unlock')
  await site.passHeld(1_000)
  expect(await site.canBind()).toBe(false)
  await site.passHeld(2 * MAY_ARRIVE_MS)
  expect(await site.canBind()).toBe(false)
  // Ours follows once theirs is gone and the token is full again.
  await site.admin('delete: pwdAccountLockedTime')
  await site.passHeld(4_000_000)
  expect([await site.canBind(), await site.findings()]).toEqual([true, []])
  await site.say('lock')
  await site.passHeld(1_000)
  expect(await site.canBind()).toBe(false)
  await site.say('unlock')
  await site.passHeld(1_000)
  expect([await site.canBind(), await site.findings()]).toEqual([true, []])
})

test('a lock that an administrator set after an unlock of ours whose answer was lost is theirs', async () => {
  await using site = await Site.open({})
  await site.say('lock')
  await site.passHeld(1)
  await site.say('unlock')
  await site.workUnheard()
  expect(await site.canBind()).toBe(true)
  await site.admin(ADMINS_LOCK)
  await site.passHeld(6_000)
  expect(await site.canBind()).toBe(false)
  expect(await site.findings()).toEqual(['late-lock-unclear'])
  expect(await site.ldif.listPending('unlock')).toEqual([])
  await site.passHeld(2 * MAY_ARRIVE_MS)
  expect(await site.canBind()).toBe(false)
  await site.adopt()
  expect([await site.canBind(), await site.findings()]).toEqual([true, []])
})

test('an unlock that never reached the server is made again, whoever wrote to the entry before', async () => {
  await using site = await Site.open({})
  await site.say('lock')
  await site.passHeld(1)
  await site.admin('replace: sn\nsn: Other')
  // The reading from before is too old to be used again.
  site.clock.aheadMs += 2_000
  await site.say('unlock')
  await site.workAndLose()
  await site.passHeld(6_000)
  expect([await site.canBind(), await site.findings()]).toEqual([true, []])
})

test.each([
  ['nothing else happens', () => Promise.resolve()],
  ['the user tries a password', async (site: Site) => void (await site.backend.failToBind())],
])(
  'an unlock of ours that arrives after a new lock is nobody else’s unlock, and locked again: %s',
  async (_name, then) => {
    await using site = await Site.open({ accessRules: HIDDEN('entryCSN') })
    await site.lateUnlock()
    await then(site)
    await site.pass(30_000)
    expect(await site.canBind()).toBe(false)
    expect(await site.events('directory-unlock')).toBe(0)
    expect(await site.findings()).toEqual(['late-unlock'])
    // Once at most: the next one is somebody's.
    await site.admin('delete: pwdAccountLockedTime')
    await site.pass(600_000)
    expect(await site.canBind()).toBe(true)
    expect(await site.events('directory-unlock')).toBe(1)
  },
)

test('an unlock by an administrator is respected, also while an unlock of ours may still arrive', async () => {
  await using site = await Site.open({ accessRules: HIDDEN('entryCSN') })
  await site.say('lock')
  await site.work()
  await site.say('unlock')
  await site.workAndLose()
  await site.pass(6_000)
  await site.say('lock')
  await site.work()
  await site.admin('delete: pwdAccountLockedTime')
  await site.pass(30_000)
  expect(await site.canBind()).toBe(true)
  expect(await site.events('directory-unlock')).toBe(1)
})

test('where the state of an entry can be asserted, a late write fails', async () => {
  await using site = await Site.open({})
  await site.lateLock()
  expect(await site.canBind()).toBe(true)
  await site.pass(30_000)
  await site.lateUnlock()
  expect(await site.canBind()).toBe(false)
  await site.pass(30_000)
  expect(await site.canBind()).toBe(false)
  expect(await site.journal('arrived')).toBe(0)
})

test('whoever tries passwords all the time does not hold off the lock', async () => {
  await using site = await Site.open({})
  let tries = 0
  const attack = async (): Promise<void> => {
    tries++
    await site.backend.failToBind()
    site.proxy.beforeModify(attack)
  }
  site.proxy.beforeModify(attack)
  await site.say('lock')
  await site.work('held')
  expect(await site.canBind()).toBe(false)
  expect(tries).toBe(3)
})

test('on 389-DS, which asserts nothing, a late lock is released and a late unlock is followed by a new lock', async () => {
  const stack = new AsyncDisposableStack()
  const ds = stack.use(await startDs389())
  await using site = await Site.on(ds389Backend(ds), stack)
  await site.lateLock()
  expect(await site.canBind()).toBe(false)
  await site.pass(30_000)
  expect(await site.canBind()).toBe(true)
  await site.lateUnlock()
  expect(await site.canBind()).toBe(true)
  await site.backend.failToBind()
  await site.pass(30_000)
  expect(await site.canBind()).toBe(false)
  expect(await site.events('directory-unlock')).toBe(0)
  expect(await site.journal('arrived')).toBe(2)
  // With the right to read who wrote last, somebody else's writing beside it is seen there as well.
  const right = `allow (read, search, compare) userdn="ldap:///${ds.serviceDn}";`
  const aci = `(targetattr="modifiersName || modifyTimestamp")(version 3.0; acl "Lockstep sees who wrote last"; ${right})`
  await ds.edit(`dn: ${ds.peopleDn}\nchangetype: modify\nadd: aci\naci: ${aci}\n`)
  await site.say('unlock')
  await site.work()
  await site.lateLock()
  await site.admin('replace: description\ndescription: Other')
  await site.pass(30_000)
  expect(await site.findings()).toContain('late-lock-unclear')
})
