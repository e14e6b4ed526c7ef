import { expect, test } from 'vitest'
import { changesNamed, dryRun } from '../../../src/core/account/dry-run.ts'
import {
  accountKey,
  asDn,
  parseAccountId,
  parseDirectoryName,
  parseHoldName,
  parseSerial,
} from '../../../src/core/names.ts'
import { plan } from '../../../src/core/account/plan.ts'
import {
  NOTHING_OF_OURS,
  underProtection,
  type DesiredState,
  type ObservedState,
  type OurRecord,
} from '../../../src/core/account/state.ts'

const directory = parseDirectoryName('corp')
const id = parseAccountId('a1')
const hold = parseHoldName('S1')
const [S1, S2, S3] = ['S1', 'S2', 'S3'].map(parseSerial)
if (!directory || !id || !hold || !S1 || !S2 || !S3) throw new RangeError('a name that is none')
const DN = asDn('uid=alice,dc=example')
const OPTIONS = { onForeignUnlock: 'respect' } as const

const HELD: DesiredState = {
  serials: [S1, S2],
  gone: [S3],
  movedFrom: {},
  holds: [
    {
      name: hold,
      kind: 'token',
      serial: S1,
      sinceUs: 1,
      untilUs: null,
      reason: { code: 'user-token-max-fail', params: {} },
      actor: '',
    },
  ],
  nextExpiryUs: null,
  heldAtUs: 1,
  heldKnownUs: 1,
}

function account(change: Partial<ObservedState> = {}, locked = false): ObservedState {
  const value = '000001010000Z'
  const slot = { dn: DN, attribute: 'pwdAccountLockedTime', mode: 'whole', locked: [value] } as const
  return {
    key: accountKey(directory as NonNullable<typeof directory>, id as NonNullable<typeof id>),
    dn: DN,
    serialAttribute: 'description',
    serialAttributeMultiValued: true,
    serialFormat: 'privacyIDEA:{serial}',
    serialValues: ['privacyIDEA:S3', 'a note'],
    carriedElsewhere: {},
    lock: {
      state: locked ? 'as-ours' : 'open',
      other: null,
      slots: [{ ...slot, current: locked ? [value] : [] }],
      effective: { is: 'yes' },
    },
    protectedBy: null,
    ...change,
  }
}

function allOf(desired: DesiredState, observed: ObservedState, ours: OurRecord): string {
  const first = plan(desired, observed, ours, OPTIONS)
  return first.kind === 'change'
    ? changesNamed(dryRun(first.change, desired, observed, ours, OPTIONS)).join(', ')
    : first.kind
}

test('a dry run tells every change that would be made, one after the other, and ends', () => {
  expect(allOf(HELD, account(), NOTHING_OF_OURS)).toBe('lock, unregister S3, register S1, register S2')
  expect(allOf({ ...HELD, holds: [] }, account(), NOTHING_OF_OURS)).toBe('unregister S3, register S1, register S2')
})

test('where the serial attribute takes one value the words of it are told apart as well', () => {
  const single = account({ serialAttributeMultiValued: false, serialValues: ['a note privacyIDEA:S3'] })
  expect(allOf(HELD, single, NOTHING_OF_OURS)).toBe('lock, unregister S3, register S1, register S2')
})

test('a protected account is planned as if nothing held it: a lock of ours is given back, another’s stays', () => {
  const slots = [
    { dn: DN, attribute: 'pwdAccountLockedTime', mode: 'whole', before: [], after: ['000001010000Z'] },
  ] as const
  const ours: OurRecord = { lock: { slots, dn: DN, holds: [hold] } }
  const observed = account({ protectedBy: 'its DN is in guards.protect.dns', serialValues: [] }, true)
  const desired = { ...HELD, serials: [], gone: [] }
  expect(allOf(underProtection(desired, observed), observed, ours)).toBe('unlock')
  expect(allOf(underProtection(desired, observed), observed, NOTHING_OF_OURS)).toBe('in-step')
  expect(allOf(underProtection(desired, account()), account({ serialValues: [] }), NOTHING_OF_OURS)).toBe('lock')
})
