import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseChangeLdif } from '../../src/core/ldif.ts'
import { asDn } from '../../src/core/names.ts'
import { openLdifFolders } from '../../src/ldif/folders.ts'
import { pruneHistory } from '../../src/ldif/history.ts'
import type { WorkerUse } from '../../src/ldif/disk-queue.ts'
import type { LdifPort } from '../../src/ports/ldif.ts'
import { makeTempDir } from '../servers/temp-dir.ts'
import { change, hold, keyOf, NOON, NOON_MS, serial } from './changes.ts'

const T1 = hold('T1')

interface Opened extends AsyncDisposable {
  readonly dir: string
  readonly ldif: LdifPort
  /** All files below the folder, hidden ones too, in order. */
  ls(): string[]
  cat(name: string): string
}

async function open(worker: WorkerUse = 'auto'): Promise<Opened> {
  const stack = new AsyncDisposableStack()
  const temp = stack.use(await makeTempDir('ldif'))
  const dir = join(temp.path, 'ldif')
  const ldif = stack.use(await openLdifFolders({ dir, nowMs: () => NOON_MS, worker }))
  return {
    dir,
    ldif,
    ls: () =>
      readdirSync(dir, { recursive: true, encoding: 'utf8' })
        .filter((name) => statSync(join(dir, name)).isFile())
        .toSorted(),
    cat: (name) => readFileSync(join(dir, name), 'utf8'),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

describe.each(['never', 'always'] as const)('the life of a change (worker thread: %s)', (worker) => {
  test('a lock waits in unlock/ while it stands, and its own file goes to history', async () => {
    await using folders = await open(worker)
    const { ldif, ls, cat } = folders
    const lock = change('lock', [T1])
    await ldif.prepare(lock)
    expect(ls()).toEqual(['lock/T1.ldif', 'unlock/T1.ldif'])
    expect(parseChangeLdif(cat('lock/T1.ldif')).entries).toEqual(lock.forward)
    const waiting = parseChangeLdif(cat('unlock/T1.ldif'))
    expect(waiting.entries).toEqual(lock.inverse)
    expect(waiting.header).toEqual({
      at: '2026-11-24T12:00:00.000Z',
      event: 'unlock',
      actor: 'admin@',
      login: '',
      realm: '',
      account: 'corp/a1',
      change: 'c1',
      until: '',
      reason: 'a test of lock',
      code: 'manual',
    })
    await ldif.applied(lock)
    expect(ls()).toEqual([`lock/history/T1--${NOON}.ldif`, 'unlock/T1.ldif'])
    const unlock = change('unlock', [T1], { plannedAtMs: NOON_MS + 1 })
    await ldif.prepare(unlock)
    expect(ls()).toEqual([`lock/history/T1--${NOON}.ldif`, 'unlock/T1.ldif'])
    await ldif.applied(unlock)
    expect(ls()).toEqual([`lock/history/T1--${NOON}.ldif`, 'unlock/history/T1--20261124T120000.001Z.ldif'])
  })

  test('a registration waits in unregister/ until the token is gone', async () => {
    await using folders = await open(worker)
    const { ldif, ls, cat } = folders
    const register = change('register', [T1])
    await ldif.prepare(register)
    await ldif.applied(register)
    const registered = [`register/history/T1--${NOON}.ldif`]
    expect(ls()).toEqual([...registered, 'unregister/T1.ldif'])
    expect(parseChangeLdif(cat('unregister/T1.ldif')).entries).toEqual(register.inverse)
    const unregister = change('unregister', [T1])
    await ldif.prepare(unregister)
    await ldif.applied(unregister)
    expect(ls()).toEqual([...registered, `unregister/history/T1--${NOON}.ldif`])
  })

  test('every step may be repeated, as after a crash, and changes nothing the second time', async () => {
    await using folders = await open(worker)
    const { ldif, ls } = folders
    for (const kind of ['lock', 'register', 'unlock', 'unregister'] as const) {
      const each = change(kind, [T1])
      await ldif.prepare(each)
      const prepared = ls()
      await ldif.prepare(each)
      expect(ls()).toEqual(prepared)
      await ldif.applied(each)
      const applied = ls()
      await ldif.applied(each)
      expect(ls()).toEqual(applied)
    }
  })

  test('a change that did not happen leaves nothing, except what still waits', async () => {
    await using folders = await open(worker)
    const { ldif, ls } = folders
    const lock = change('lock', [T1, hold('account.0123456789abcdef')])
    await ldif.prepare(lock)
    expect(ls()).toHaveLength(4)
    await ldif.abandoned(lock, [T1])
    expect(ls()).toEqual(['unlock/T1.ldif'])
    const unlock = change('unlock', [T1])
    await ldif.prepare(unlock)
    await ldif.abandoned(unlock, [T1])
    expect(ls()).toEqual(['unlock/T1.ldif'])
    const register = change('register', [hold('T2')])
    await ldif.prepare(register)
    await ldif.abandoned(register, [])
    await ldif.abandoned(register, [])
    expect(ls()).toEqual(['unlock/T1.ldif'])
  })
})

describe('what waits', () => {
  test('is listed by name, without strangers’ files, and can be read', async () => {
    await using folders = await open()
    const { ldif, dir } = folders
    await ldif.prepare(change('lock', [T1]))
    for (const name of ['notes.txt', 'a b.ldif', '.hidden.ldif', 'T2']) writeFileSync(join(dir, 'unlock', name), 'x')
    expect(await ldif.listPending('unlock')).toEqual(['T1'])
    expect(await ldif.listPending('unregister')).toEqual([])
    expect(await ldif.readPending('unlock', 'T1')).toContain('delete: pwdAccountLockedTime')
    expect(await ldif.readPending('unlock', 'T2')).toBeNull()
    expect(await ldif.readPending('unlock', '../lock/T1')).toBeNull()
  })

  test('is not written over by a further hold, and leaves by hand into history or without a trace', async () => {
    await using folders = await open()
    const { ldif, ls, cat } = folders
    await ldif.ensurePending({ folder: 'unlock', name: T1, account: keyOf('a1'), text: 'first\n' })
    await ldif.ensurePending({ folder: 'unlock', name: T1, account: keyOf('a1'), text: 'second\n' })
    expect(cat('unlock/T1.ldif')).toBe('first\n')
    await ldif.dropPending('unlock', T1, 'applied', keyOf('a1'))
    await ldif.dropPending('unlock', T1, 'applied', keyOf('a1'))
    expect(ls()).toEqual([`unlock/history/T1--${NOON}.ldif`])
    await ldif.ensurePending({ folder: 'unregister', name: serial('T1'), account: keyOf('a1'), text: 'x\n' })
    await ldif.dropPending('unregister', serial('T1'), 'superseded', keyOf('a1'))
    await ldif.dropPending('unregister', serial('T1'), 'superseded', keyOf('a1'))
    expect(ls()).toEqual([`unlock/history/T1--${NOON}.ldif`])
  })

  test('an unlock whose file was taken away, or says something else, gets a file of what it does', async () => {
    await using folders = await open()
    const { ldif, ls, cat } = folders
    const unlock = change('unlock', [T1], { dn: asDn('uid=renamed,dc=example,dc=org') })
    await ldif.prepare(change('lock', [T1]))
    await ldif.prepare(unlock)
    expect(parseChangeLdif(cat('unlock/T1.ldif')).entries).toEqual(unlock.forward)
    await ldif.dropPending('unlock', T1, 'superseded', keyOf('a1'))
    await ldif.prepare(unlock)
    await ldif.applied(unlock)
    expect(ls()).toEqual(['lock/T1.ldif', `unlock/history/T1--${NOON}.ldif`])
  })
})

describe('a serial that moves to another account', () => {
  const moved = { key: keyOf('b2'), dn: asDn('uid=bob,dc=example,dc=org'), id: 'c2' }

  test('has the new account’s file waiting, whichever account is done first', async () => {
    for (const order of ['old first', 'new first']) {
      await using folders = await open()
      const { ldif, cat, ls } = folders
      await ldif.prepare(change('register', [T1]))
      const old = change('unregister', [T1], { plannedAtMs: NOON_MS + 2 })
      const fresh = change('register', [T1], { ...moved, plannedAtMs: NOON_MS + 1 })
      for (const each of order === 'old first' ? [old, fresh] : [fresh, old]) {
        await ldif.prepare(each)
        await ldif.applied(each)
      }
      expect(parseChangeLdif(cat('unregister/T1.ldif')).header.account).toBe('corp/b2')
      const past = cat('unregister/history/T1--20261124T120000.002Z.ldif')
      expect(parseChangeLdif(past)).toMatchObject({ header: { account: 'corp/a1' }, entries: old.forward })
      expect(ls().filter((name) => name.startsWith('register/'))).toHaveLength(2)
    }
  })

  test('keeps the new account’s file when the old account’s change is given up', async () => {
    await using folders = await open()
    const { ldif, ls } = folders
    await ldif.prepare(change('lock', [T1], moved))
    await ldif.abandoned(change('lock', [T1]), [])
    expect(ls()).toEqual(['lock/T1.ldif', 'unlock/T1.ldif'])
  })
})

describe('history', () => {
  test('is never written over: a second file of the same millisecond gets a number', async () => {
    await using folders = await open()
    const { ldif, ls, cat } = folders
    for (const id of ['c1', 'c2', 'c3']) {
      const lock = change('lock', [T1], { id })
      await ldif.prepare(lock)
      await ldif.applied(lock)
      await ldif.prepare(change('register', [T1], { id }))
    }
    for (const folder of ['lock', 'register']) {
      const names = ls().filter((name) => name.startsWith(`${folder}/history/`))
      expect(names.map((name) => parseChangeLdif(cat(name)).header.change)).toEqual(['c1', 'c2', 'c3'])
      expect(names[2]).toBe(`${folder}/history/T1--${NOON}_3.ldif`)
    }
  })

  test('is pruned by its age in bounded steps, and strangers’ files and what waits stay', async () => {
    await using folders = await open()
    const { ldif, ls, dir } = folders
    const locks = Array.from({ length: 10 }, (_, index) => change('lock', [T1], { plannedAtMs: NOON_MS + index }))
    for (const lock of locks) {
      await ldif.prepare(lock)
      await ldif.applied(lock)
    }
    const strange = join(dir, 'lock/history/notes.txt')
    writeFileSync(strange, 'x')
    utimesSync(strange, 0, 0)
    const beforeMs = NOON_MS + 7
    expect(await pruneHistory(dir, beforeMs, 5)).toBe(5)
    expect(await pruneHistory(dir, beforeMs, 5)).toBe(2)
    expect(await pruneHistory(dir, beforeMs, 5)).toBe(0)
    expect(ls()).toEqual([
      ...[7, 8, 9].map((ms) => `lock/history/T1--20261124T120000.00${ms}Z.ldif`),
      'lock/history/notes.txt',
      'unlock/T1.ldif',
    ])
  })
})

describe('under load', () => {
  test('three hundred locks at once are all there, and one that fails takes no other with it', async () => {
    await using folders = await open()
    const { ldif, ls, dir } = folders
    const names = Array.from({ length: 300 }, (_, index) => hold(`L${index}`))
    const results = await Promise.allSettled(
      names.map(async (name, index) => {
        const lock = change('lock', index === 150 ? [name, hold('X'), hold('Y')] : [name], {
          ...(index === 151 && { dn: asDn('\ud800') }),
        })
        await ldif.prepare(lock)
        await ldif.applied(lock)
      }),
    )
    expect(results.flatMap((result, index) => (result.status === 'rejected' ? [index] : []))).toEqual([151])
    expect(readdirSync(join(dir, 'lock'))).toEqual(['history'])
    expect((await ldif.listPending('unlock')).length).toBe(301)
    expect(ls()).toHaveLength(2 * 301)
  })

  test('what is asked for at once of one name is done in order', async () => {
    await using folders = await open()
    const { ldif, ls } = folders
    await Promise.all([
      ldif.ensurePending({ folder: 'unlock', name: T1, account: keyOf('a1'), text: '1\n' }),
      ldif.dropPending('unlock', T1, 'applied', keyOf('a1')),
      ldif.ensurePending({ folder: 'unlock', name: T1, account: keyOf('a1'), text: '2\n' }),
      ldif.dropPending('unlock', T1, 'applied', keyOf('a1')),
      ldif.ensurePending({ folder: 'unlock', name: T1, account: keyOf('a1'), text: '3\n' }),
    ])
    expect(ls()).toEqual([`unlock/T1.ldif`, `unlock/history/T1--${NOON}.ldif`, `unlock/history/T1--${NOON}_2.ldif`])
    expect(folders.cat('unlock/T1.ldif')).toBe('3\n')
  })

  test('closing waits for what was asked for, and refuses what comes after', async () => {
    await using folders = await open()
    const { ldif, ls } = folders
    const asked = ldif.prepare(change('lock', [T1]))
    await ldif[Symbol.asyncDispose]()
    await asked
    expect(ls()).toHaveLength(2)
    await expect(ldif.prepare(change('lock', [T1]))).rejects.toMatchObject({ code: 'file-io' })
  })
})

describe('a file belongs to the change that its header names', () => {
  const [older, newer] = [
    { id: 'c1', plannedAtMs: NOON_MS },
    { id: 'c2', plannedAtMs: NOON_MS + 1_000 },
  ]

  test.each([
    ['plans its lock late', (ldif: LdifPort) => ldif.prepare(change('lock', [T1], older))],
    ['gives its lock up', (ldif: LdifPort) => ldif.abandoned(change('lock', [T1], older), [])],
    ['closes a lock that was applied', (ldif: LdifPort) => ldif.applied(change('lock', [T1], older))],
    ['closes a release that was applied', (ldif: LdifPort) => ldif.applied(change('unlock', [T1], older))],
    ['gives a release up', (ldif: LdifPort) => ldif.abandoned(change('unlock', [T1], older), [])],
    [
      'drops a hold that ended',
      (ldif: LdifPort) => ldif.dropPending('unlock', T1, 'superseded', keyOf('a1'), older.plannedAtMs),
    ],
  ])('a worker that was overtaken and %s takes nothing from the newer lock', async (_, late) => {
    await using folders = await open()
    const { ldif, cat } = folders
    await ldif.prepare(change('lock', [T1], newer))
    const [forward, waiting] = [cat('lock/T1.ldif'), cat('unlock/T1.ldif')]
    await late(ldif)
    expect([cat('lock/T1.ldif'), cat('unlock/T1.ldif')]).toEqual([forward, waiting])
  })

  test('a registration that did not happen leaves the file of a newer one', async () => {
    await using folders = await open()
    const { ldif, cat } = folders
    await ldif.prepare(change('register', [T1], newer))
    const waiting = cat('unregister/T1.ldif')
    await ldif.abandoned(change('register', [T1], older), [])
    await ldif.applied(change('unregister', [T1], older))
    expect(cat('unregister/T1.ldif')).toBe(waiting)
  })

  test('a file of a time that has not come yet is written over: the clock was set back', async () => {
    await using folders = await open()
    const { ldif, cat } = folders
    await ldif.prepare(change('lock', [T1], { id: 'ahead', plannedAtMs: Date.now() + 86_400_000 }))
    await ldif.prepare(change('lock', [T1], { id: 'now', plannedAtMs: Date.now() }))
    expect(cat('unlock/T1.ldif')).toContain('# change: now')
  })
})
