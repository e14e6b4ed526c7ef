import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'ldapts'
import { expect } from 'vitest'
import { holdName } from '../../../src/core/account/fold.ts'
import { parseChangeLdif, utcStamp } from '../../../src/core/ldif.ts'
import { NO_LIMIT, within } from '../../servers/within.ts'
import { isLocked, newUser, nextEvent, randomFrom, type UserModel } from './durability-model.ts'
import { shared, slapd, slapdTest as test } from '../../support/fixture.ts'
import { createLockstep, openReadOnly, readLdif, type Lockstep } from '../../support/lockstep.ts'

/** SIGKILL at random points under load, many times over. `LOCKSTEP_SEED` repeats a run. */

const ROUNDS = 300
const FULL_CHECK_ROUNDS = 25
const USERS = 150
/** Users whose events come through the real shims, one after the other. */
const SHIM_USERS = 6
/** Accounts that an administrator locked, and that events lock and unlock as well. */
const FOREIGN_USERS = 5
const FOREIGN_TIME = '20200101000000Z'
const OUR_TIME = '000001010000Z'
const EVENTS_BEFORE_START = 30
const EVENTS_WHILE_RUNNING = 12
const KILL_WITHIN_MS = 250
/** A start from its first moment takes about so long: these kills meet it in the middle. */
const START_TAKES_MS = 400
/** A round with a full check takes a few seconds; the limit is for one that stands still. */
const ROUND_LIMIT_MS = 300_000
const HISTORIES = ['register/history', 'lock/history', 'unlock/history', 'unregister/history']

interface Account {
  readonly key: string
  readonly lockedTime: string | null
  readonly descriptions: readonly string[]
}

let lockstep: Lockstep
let client: Client
/** The first ones may be killed before they made the store and the folders. */
let wasReady = false

test.override('slapdOptions', { users: USERS + SHIM_USERS + FOREIGN_USERS })
test.beforeAll(async () => {
  lockstep = shared.use(await createLockstep(slapd))
  client = new Client({ url: slapd.url })
  shared.defer(() => client.unbind())
  await client.bind(slapd.adminDn, slapd.adminPassword)
})

async function accounts(): Promise<Map<string, Account>> {
  const attributes = ['uid', 'entryUUID', 'pwdAccountLockedTime', 'description']
  const { searchEntries } = await client.search(slapd.peopleDn, { filter: '(uid=*)', attributes })
  return new Map(
    searchEntries.map((entry) => {
      const one = (name: string): string | null => [entry[name] ?? []].flat().map(String)[0] ?? null
      const account = {
        key: `corp/${one('entryUUID')}`,
        lockedTime: one('pwdAccountLockedTime'),
        descriptions: [entry['description'] ?? []].flat().map(String).toSorted(),
      }
      return [one('uid') ?? '', account] as const
    }),
  )
}

class Load {
  readonly users: readonly UserModel[]
  readonly shimUsers: readonly UserModel[]
  readonly foreign: readonly UserModel[]
  /** Ids of everything that went into the spool. */
  readonly ids = new Set<string>()
  readonly #random: () => number
  #lastMs = 0

  constructor(random: () => number) {
    const login = (number: number): string => `u${number}`
    this.#random = random
    this.users = Array.from({ length: USERS }, (_, at) => newUser(login(at + 1), 'T'))
    this.shimUsers = Array.from({ length: SHIM_USERS }, (_, at) => newUser(login(USERS + at + 1), 'S'))
    this.foreign = Array.from({ length: FOREIGN_USERS }, (_, at) => newUser(login(USERS + SHIM_USERS + at + 1), 'F'))
  }

  get all(): readonly UserModel[] {
    return [...this.users, ...this.shimUsers, ...this.foreign]
  }

  spool(count: number): void {
    const candidates = [...this.users, ...this.foreign]
    for (let at = 0; at < count; at++) {
      const user = candidates[Math.floor(this.#random() * candidates.length)]
      if (user === undefined) continue
      this.#lastMs = Math.max(this.#lastMs + 1, Date.now())
      this.ids.add(lockstep.spool({ ...nextEvent(user, this.#random), takenAtMs: this.#lastMs }))
    }
  }

  async shims(): Promise<void> {
    for (const user of this.shimUsers) {
      const { kind, args } = nextEvent(user, this.#random)
      const ran = await lockstep.shim(kind, args)
      expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
    }
  }
}

test(
  `${ROUNDS} times killed: no event lost, nobody wrongly locked or unlocked, every file whole`,
  // As long as each round ends, it goes on, however slow the machine is.
  { timeout: NO_LIMIT },
  async () => {
    const seed = Number(process.env['LOCKSTEP_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
    console.log(`LOCKSTEP_SEED=${seed}`)
    const random = randomFrom(seed)
    const load = new Load(random)
    await lockForeign(load.foreign)
    for (let round = 1; round <= ROUNDS; round++) {
      await within(ROUND_LIMIT_MS, `round ${round}`, play(load, random, round))
    }
  },
)

async function play(load: Load, random: () => number, round: number): Promise<void> {
  load.spool(EVENTS_BEFORE_START)
  if (round % 10 === 0) await load.shims()
  await runAndKill(load, random)
  await checkDead(load, round)
  if (round % FULL_CHECK_ROUNDS === 0) await checkFully(load, round)
}

async function lockForeign(users: readonly UserModel[]): Promise<void> {
  for (const { login } of users) {
    const dn = slapd.userDn(login)
    const text = `dn: ${dn}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: ${FOREIGN_TIME}\n`
    const ran = await slapd.ldapmodify(text)
    expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
  }
}

/** A third is killed on its way to being ready, the others at work; now and then it is a drain and no daemon. */
async function runAndKill(load: Load, random: () => number): Promise<void> {
  const killWhileStarting = random() < 0.33
  const delayMs = random() * (killWhileStarting ? START_TAKES_MS : KILL_WITHIN_MS)
  const isDrain = random() < 0.15
  lockstep.startServing(isDrain ? 'drain' : 'serve')
  if (!killWhileStarting && !isDrain) {
    await lockstep.untilReady()
    wasReady = true
  }
  const timer = new Promise((resolve) => setTimeout(resolve, delayMs + (isDrain ? START_TAKES_MS / 2 : 0)))
  if (random() < 0.5) load.spool(EVENTS_WHILE_RUNNING)
  await timer
  await lockstep.kill9()
}

/** What must hold at every moment, even while nothing runs. */
async function checkDead(load: Load, round: number): Promise<void> {
  const context = `round ${round}`
  const inSpool = new Set(readdirSync(join(lockstep.spoolDir, 'new')))
  const onRecord = idsOnRecord()
  const lost = [...load.ids].filter((id) => !inSpool.has(id) && !onRecord.has(id))
  expect(lost, `${context}: events that are neither in the spool nor on record`).toEqual([])
  const canUndo = new Set<string>()
  for (const name of filesIn('unlock')) {
    const { header, entries } = parseChangeLdif(readLdif(lockstep, `unlock/${name}`))
    expect(entries, `${context}: ${name}`).not.toEqual([])
    canUndo.add(header.account)
  }
  for (const [login, account] of await accounts()) {
    if (account.lockedTime === OUR_TIME)
      expect(canUndo, `${context}: a file that unlocks ${login}`).toContain(account.key)
  }
  for (const folder of ['lock', 'unregister']) {
    for (const name of filesIn(folder)) parseChangeLdif(readLdif(lockstep, `${folder}/${name}`))
  }
}

/** The files of an LDIF folder; while no daemon was ever ready, it need not be there. */
function filesIn(folder: string): string[] {
  return !wasReady && !existsSync(join(lockstep.ldifDir, folder)) ? [] : lockstep.ldif(folder)
}

/** A list becomes several events, `<id>#<number>`. */
function idsOnRecord(): Set<string> {
  if (!wasReady && !existsSync(lockstep.storeFile)) return new Set()
  using store = openReadOnly(lockstep.storeFile)
  const hasTables = store.prepare("select 1 from sqlite_schema where name = 'event'").get() !== undefined
  if (!wasReady && !hasTables) return new Set()
  const rows = store.prepare('select id from event').all()
  return new Set(rows.map((row) => String(row['id']).replace(/#\d+$/, '')))
}

/** Lets the daemon finish, and compares everything with the model. */
async function checkFully(load: Load, round: number): Promise<void> {
  const context = `round ${round}`
  await lockstep.serve()
  await lockstep.settled()
  const found = await accounts()
  const expectedFiles: string[] = []
  for (const user of load.all) {
    const account = found.get(user.login)
    if (account === undefined) throw new Error(`no account ${user.login}`)
    const isForeign = load.foreign.includes(user)
    const lockedTime = isForeign ? FOREIGN_TIME : isLocked(user) ? OUR_TIME : null
    const descriptions = [...user.serials].map((serial) => `privacyIDEA:${serial}`).toSorted()
    expect(account, `${context}: ${user.login}`).toEqual({ key: account.key, lockedTime, descriptions })
    if (isForeign) continue
    for (const serial of user.tokenHolds) expectedFiles.push(`${serial}.ldif`)
    if (user.accountHold) expectedFiles.push(`${holdName('account', account.key)}.ldif`)
  }
  expect(lockstep.ldif('unlock'), context).toEqual(expectedFiles.toSorted())
  expect(lockstep.ldif('lock'), context).toEqual([])
  const registered = load.all.flatMap((user) => [...user.serials].map((serial) => `${serial}.ldif`))
  expect(lockstep.ldif('unregister'), context).toEqual(registered.toSorted())
  for (const folder of HISTORIES) {
    for (const name of lockstep.ldif(folder)) parseChangeLdif(readLdif(lockstep, `${folder}/${name}`))
  }
  expect(missingHistory(), `${context}: changes that were applied and have no file in the history`).toEqual([])
  expect(hiddenFiles(), `${context}: what killed processes left unfinished`).toEqual([])
  const verified = await lockstep.cli('journal', '--verify', '--json')
  expect({ code: verified.code, ...verified.json<object>() }, context).toMatchObject({ code: 0, faults: [] })
  expect((await lockstep.stop()).code, context).toBe(0)
}

/** Every change that was applied has its forward file in the history, under each of its names. */
function missingHistory(): string[] {
  using store = openReadOnly(lockstep.storeFile)
  const rows = store.prepare("select kind, planned_ms, body from change where state = 'applied'").all()
  const there = new Set(HISTORIES.flatMap((folder) => lockstep.ldif(folder).map((name) => `${folder}/${name}`)))
  return rows.flatMap((row) => {
    const { holds } = JSON.parse(String(row['body'])) as { holds: string[] }
    const stamp = utcStamp(Number(row['planned_ms']))
    return holds
      .map((name) => `${String(row['kind'])}/history/${name}--${stamp}.ldif`)
      .filter((name) => !there.has(name))
  })
}

/** Where an operator looks; those in the history leave with its retention. */
function hiddenFiles(): string[] {
  const folders = ['lock', 'unlock', 'unregister']
  return folders.flatMap((folder) => readdirSync(join(lockstep.ldifDir, folder)).filter((name) => name.startsWith('.')))
}
