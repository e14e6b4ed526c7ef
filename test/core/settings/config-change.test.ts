import { expect, test } from 'vitest'
import { differingKeys, withKeysOf } from '../../../src/core/settings/config-keys.ts'
import { lostMarks, type DirectoryForm } from '../../../src/core/settings/directory-form.ts'
import {
  underProtection,
  type Because,
  type DesiredState,
  type Hold,
  type ObservedState,
} from '../../../src/core/account/state.ts'
import { retired } from '../../../src/core/settings/retirement.ts'
import { parseDirectoryName, parseSerial, type DirectoryName, type Serial } from '../../../src/core/names.ts'

/** What a change of the configuration is, and what it would lose. */

test.each([
  ['a value', { 'a.b': '1', 'a.c': '2' }, { 'a.b': '1', 'a.c': '3' }, ['a.c']],
  ['a section that is there or not', { 'a.b': '1', m: 'null' }, { 'a.b': '1', 'm.x': '1', 'm.y': '2' }, ['m']],
  ['one of several of a kind', { 'd.one.x': '1' }, { 'd.one.x': '1', 'd.two.x': '1', 'd.two.y': '2' }, ['d.two']],
  ['a key that the other version does not know', { 'a.b': '1' }, { 'a.b': '1', 'a.new': '2' }, []],
  ['nothing', { 'a.b': '1' }, { 'a.b': '1' }, []],
])('a difference is named by its key: %s', (_what, one, other, keys) => {
  expect(differingKeys(one, other)).toEqual(keys)
  expect(differingKeys(other, one)).toEqual(keys)
})

test('what stays as it was is taken over whole, also where a section is not there any more', () => {
  const before = { 'h.listen': '1', 'h.allow': '2', x: '1' }
  expect(withKeysOf({ h: 'null', x: '2' }, ['h'], before)).toEqual({ 'h.listen': '1', 'h.allow': '2', x: '2' })
})

const CORP = parseDirectoryName('corp') as DirectoryName
const FORM: DirectoryForm = {
  lock: 'openldap',
  idAttribute: 'entryuuid',
  serialAttribute: 'description',
  serialFormat: 'P:{serial}',
}

test.each([
  ['nothing stands there', { locks: 0, serials: 0 }, null, null],
  ['it is dropped', { locks: 1, serials: 0 }, null, { key: null, locks: 1 }],
  [
    'serials stand and their format is another',
    { locks: 0, serials: 2 },
    { serialFormat: 'Q:{serial}' },
    { key: 'serialFormat', serials: 2 },
  ],
  ['only locks stand and the format is another', { locks: 2, serials: 0 }, { serialFormat: 'Q:{serial}' }, null],
  ['only serials stand and the lock is another', { locks: 0, serials: 2 }, { lock: '389ds' }, null],
  ['locks stand and the lock is another', { locks: 2, serials: 1 }, { lock: '389ds' }, { key: 'lock', locks: 2 }],
  [
    'either stands and the id is another',
    { locks: 0, serials: 1 },
    { idAttribute: 'uid' },
    { key: 'idAttribute', serials: 1 },
  ],
])('a directory loses what is ours: %s', (_what, marks, change, lost) => {
  const form = change === null ? null : { ...FORM, ...change }
  const found = lostMarks(CORP, FORM, form, marks)
  if (lost === null) expect(found).toBeNull()
  else expect(found).toMatchObject(lost)
})

test('a directory of an older store, whose form was never noted, loses nothing as long as it is there', () => {
  expect(lostMarks(CORP, null, FORM, { locks: 3, serials: 3 })).toBeNull()
  expect(lostMarks(CORP, null, null, { locks: 3, serials: 3 })).toMatchObject({ key: null, locks: 3, serials: 3 })
})

test('an account of a retired directory has no hold, and every serial of ours is gone, once each', () => {
  const [a, b, c] = ['A1', 'B1', 'C1'].map((text) => parseSerial(text) as Serial) as [Serial, Serial, Serial]
  const desired: DesiredState = {
    serials: [a, b],
    gone: [c],
    movedFrom: {},
    holds: [],
    nextExpiryUs: 5,
    heldAtUs: 4,
    heldKnownUs: 3,
  }
  const wanted = retired(desired, [a, c], { directory: CORP, by: 'anna' })
  expect(wanted).toMatchObject({ serials: [], holds: [], nextExpiryUs: null, heldAtUs: 0 })
  expect(wanted.gone.toSorted()).toEqual([a, c])
})

test('what a retirement releases names the order and who gave it; what was due to go before keeps its own cause', () => {
  const [a, c] = ['A1', 'C1'].map((text) => parseSerial(text) as Serial) as [Serial, Serial]
  const unassigned: Because = { reason: { code: 'token-unassigned', params: { serial: c } }, actor: 'admin' }
  const desired: DesiredState = {
    serials: [a],
    gone: [c],
    movedFrom: {},
    holds: [],
    because: { [a]: { reason: { code: 'token-assigned', params: { serial: a } }, actor: 'admin' }, [c]: unassigned },
    nextExpiryUs: null,
    heldAtUs: 0,
    heldKnownUs: 0,
  }
  const order: Because = { reason: { code: 'directory-retired', params: { directory: CORP } }, actor: 'anna' }
  const retirement = { directory: CORP, by: 'anna' }
  expect(retired(desired, [a, c], retirement).because).toEqual({ [a]: order, [c]: unassigned })
  expect(retired(desired, [], retirement).ended).toBeUndefined()
  const hold = { name: 'A1', kind: 'token', serial: a, sinceUs: 1, untilUs: null, actor: '' } as unknown as Hold
  expect(retired({ ...desired, holds: [hold] }, [], retirement).ended).toEqual(order)
})

test('a protected account without a hold is open because of what ended the last one, not because it is protected', () => {
  const ended: Because = { reason: { code: 'directory-retired', params: { directory: CORP } }, actor: 'anna' }
  const desired: DesiredState = {
    serials: [],
    gone: [],
    movedFrom: {},
    holds: [],
    ended,
    nextExpiryUs: null,
    heldAtUs: 0,
    heldKnownUs: 0,
  }
  const observed = { protectedBy: 'a rule' } as ObservedState
  expect(underProtection(desired, observed).ended).toEqual(ended)
  const hold = { name: 'A1', kind: 'token', sinceUs: 1, untilUs: null, actor: '' } as unknown as Hold
  expect(underProtection({ ...desired, holds: [hold] }, observed).ended?.reason.code).toBe('account-protected')
})
