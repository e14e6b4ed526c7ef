import { expect, test } from 'vitest'
import type { Change, ChangeKind } from '../../../src/core/account/change.ts'
import { parseChangeLdif } from '../../../src/core/ldif.ts'
import { asDn, holdNameOfSerial, parseLogin, parseRealm } from '../../../src/core/names.ts'
import { lockOf, releaseOf } from '../../../src/core/account/slot.ts'
import type { OwnedSlot } from '../../../src/core/account/state.ts'
import { openLedger } from '../../../src/reconcile/ledger/ledger.ts'
import { ALICE, BOB, S1 } from '../../core/arbitrary.ts'
import { MemoryLdif } from '../../simulation/memory-ldif.ts'
import { openStore } from '../../../src/store/store.ts'
import { claimOf, openTestStore } from '../../store/test-store.ts'

const DN = asDn('uid=alice,ou=people,dc=example,dc=org')
const HOLD = holdNameOfSerial(S1)
const MAIL = placeIn('mail')
const VPN = placeIn('vpn')

function placeIn(group: string): OwnedSlot {
  const dn = asDn(`cn=no-${group},ou=groups,dc=example,dc=org`)
  return { dn, attribute: 'member', mode: 'value', before: [], after: [DN] }
}

function changeOf(kind: ChangeKind & ('lock' | 'unlock'), id: string, slots: readonly OwnedSlot[]): Change {
  const [to, from] = [lockOf(slots), releaseOf(slots)]
  const [forward, inverse] = kind === 'lock' ? [to, from] : [from, to]
  const about = {
    key: ALICE,
    dn: DN,
    serial: null,
    holds: [HOLD],
    reason: { code: 'no-hold-left', params: {} } as const,
    actor: '',
  }
  return { ...about, kind, id, plannedAtMs: 1_700_000_000_000, forward, inverse, slots }
}

test('a release that was refused leaves a file of what it found standing', async () => {
  await using opened = await openTestStore()
  const ldif = new MemoryLdif(() => undefined)
  const ledger = openLedger(opened.store.records, ldif, opened.clock)
  await opened.store.snapshots.markForRefresh([{ key: ALICE, dn: DN, login: null, realm: null }])
  const claim = await claimOf(opened.store, ALICE)
  const owned = { slots: [MAIL, VPN], dn: DN, holds: [HOLD] }
  const first = changeOf('lock', '1', [MAIL, VPN])
  await ledger.writeAhead(claim, first)
  await ledger.close(claim, first, 'applied', owned)

  const release = changeOf('unlock', '2', [MAIL])
  await ledger.writeAhead(claim, release)
  await ledger.close(claim, release, 'not-applied', owned)

  const text = (await ldif.readPending('unlock', HOLD)) ?? ''
  expect(parseChangeLdif(text).entries).toEqual(releaseOf([MAIL]))
})

test.each([
  ['a lock of two places of which a crash left one', 'lock', [MAIL, VPN], 'applied', [MAIL]],
  ['a place that is locked in exchange for one that others took away', 'lock', [VPN], 'not-applied', [MAIL]],
  ['a lock that is given back in part', 'unlock', [MAIL, VPN], 'applied', [VPN]],
] as const)('the waiting file takes back what is ours: %s', async (_name, kind, places, result, left) => {
  await using opened = await openTestStore()
  const ldif = new MemoryLdif(() => undefined)
  const ledger = openLedger(opened.store.records, ldif, opened.clock)
  await opened.store.snapshots.markForRefresh([{ key: ALICE, dn: DN, login: null, realm: null }])
  const claim = await claimOf(opened.store, ALICE)
  const first = changeOf('lock', '1', [MAIL, VPN])
  await ledger.writeAhead(claim, first)
  await ledger.close(claim, first, 'applied', { slots: [MAIL, VPN], dn: DN, holds: [HOLD] })

  const change = changeOf(kind, '2', places)
  await ledger.writeAhead(claim, change)
  await ledger.recover(claim, change, result, { slots: left, dn: DN, holds: [HOLD] }, null)

  const text = await ldif.readPending('unlock', HOLD)
  expect(text === null ? null : parseChangeLdif(text).entries).toEqual(releaseOf(left))
})

test('each waiting file that is written for an account names its login and realm, where they are on record', async () => {
  await using opened = await openTestStore()
  const ldif = new MemoryLdif(() => undefined)
  const ledger = openLedger(opened.store.records, ldif, opened.clock)
  const [login, realm] = [parseLogin('alice@corp'), parseRealm('example')]
  await opened.store.snapshots.markForRefresh([{ key: ALICE, dn: DN, login, realm }])
  const claim = await claimOf(opened.store, ALICE)
  expect(claim).toMatchObject({ login, realm })
  const own = { slots: [MAIL], dn: DN, holds: [HOLD] }
  const headerNow = async () => parseChangeLdif((await ldif.readPending('unlock', HOLD)) ?? '').header
  await ledger.repair(claim, own, { holds: [HOLD], serials: [] })
  expect(await headerNow()).toMatchObject({ login: 'alice@corp', realm: 'example' })
  opened.clock.setMs(opened.clock.nowMs() + 1_000)
  await ledger.relabel(claim, own, { ...own, slots: [VPN] }, 'superseded', { code: 'holds-changed', params: {} })
  expect(await headerNow()).toMatchObject({ login: 'alice@corp', realm: 'example' })
  await ledger.repair({ ...claim, login: null, realm: null }, null, { holds: [HOLD], serials: [] })
  expect(await ldif.readPending('unlock', HOLD)).toBeNull()
  await ledger.repair({ ...claim, login: null, realm: null }, own, { holds: [HOLD], serials: [] })
  expect(await headerNow()).toMatchObject({ login: '', realm: '' })
})

test('a repair leaves the file of another account that took the serial over, and gives back none of its own', async () => {
  await using opened = await openTestStore()
  const ldif = new MemoryLdif(() => undefined)
  const ledger = openLedger(opened.store.records, ldif, opened.clock)
  const lock = changeOf('lock', '1', [MAIL])
  await ldif.prepare({ ...lock, key: BOB })
  const text = await ldif.readPending('unlock', HOLD)
  opened.clock.setMs(lock.plannedAtMs + 1_000)
  await opened.store.snapshots.markForRefresh([{ key: ALICE, dn: DN, login: null, realm: null }])
  const claim = await claimOf(opened.store, ALICE)
  await ledger.repair(claim, { slots: [VPN], dn: DN, holds: [HOLD] }, { holds: [HOLD], serials: [] })
  await ledger.repair(claim, null, { holds: [HOLD], serials: [] })
  expect(await ldif.readPending('unlock', HOLD)).toBe(text)
})

test('a lock that the breaker refuses leaves no file', async () => {
  await using opened = await openTestStore()
  const breaker = {
    limits: [{ of: 'all', only: [], max: { locks: 1 }, perMs: 3_600_000 }],
    reset: 'manual',
    approvals: 1,
  } as const
  const { file, clock } = opened
  await using store = await openStore({ file, clock, lockTtlMs: null, breaker, willWrite: true })
  const ldif = new MemoryLdif(() => undefined)
  const ledger = openLedger(store.records, ldif, clock)
  await store.snapshots.markForRefresh([ALICE, BOB].map((key) => ({ key, dn: DN, login: null, realm: null })))
  const first = { ...changeOf('lock', '1', [MAIL]), key: BOB }
  expect(await ledger.writeAhead(await claimOf(store, BOB), first)).toBeNull()
  const files = new Map(ldif.files)

  const second = changeOf('lock', '2', [MAIL])
  expect(await ledger.writeAhead(await claimOf(store, ALICE), second)).toMatchObject({
    reason: { code: 'breaker-limit' },
  })
  expect(ldif.files).toEqual(files)
})
