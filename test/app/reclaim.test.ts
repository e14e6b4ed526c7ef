import { describe, expect, test } from 'vitest'
import { parseChangeLdif } from '../../src/core/ldif.ts'
import { asDn } from '../../src/core/names.ts'
import type { LockSlot, ObservedState } from '../../src/core/account/state.ts'
import { reclaim } from '../../src/app/evidence/reclaim.ts'
import { ALICE } from '../core/arbitrary.ts'

/** A waiting file against what stands in the directory, whether the lock has a slot for each value or for each place. */

const OLD = 'uid=alice,ou=people,dc=example,dc=org'
const NOW = 'uid=alicia,ou=staff,dc=example,dc=org'
const GROUP = 'cn=locked,ou=groups,dc=example,dc=org'
const VALUES = ['locked-a', 'locked-b']

function observed(slots: readonly LockSlot[], dn = NOW): ObservedState {
  return {
    key: ALICE,
    dn: asDn(dn),
    serialAttribute: 'description',
    serialAttributeMultiValued: true,
    serialFormat: 'privacyIDEA:{serial}',
    serialValues: [],
    carriedElsewhere: {},
    lock: { state: 'open', other: null, slots, effective: { is: 'yes' } },
    protectedBy: null,
  }
}

function slot(mode: LockSlot['mode'], attribute: string, current: string[], locked: string[], dn = NOW): LockSlot {
  return { dn: asDn(dn), attribute, mode, current, locked }
}

function file(dn: string, ...modifications: string[]): ReturnType<typeof parseChangeLdif>['entries'] {
  return parseChangeLdif(`dn: ${dn}\nchangetype: modify\n${modifications.map((each) => `${each}\n-\n`).join('')}`)
    .entries
}

const both = VALUES.map((value) => `carLicense: ${value}`).join('\n')
const each = VALUES.map((value) => `delete: carLicense\ncarLicense: ${value}`)
const FILES = { 'one change of two values': [`delete: carLicense\n${both}`], 'a change for each value': each }
const SLOTS = {
  'a slot for the place': (current: string[]) => [slot('value', 'carLicense', current, VALUES)],
  'a slot for each value': (current: string[]) => VALUES.map((value) => slot('value', 'carLicense', current, [value])),
}

describe.each(Object.entries(FILES))('a file with %s', (_file, modifications) => {
  describe.each(Object.entries(SLOTS))('and %s', (_slots, slotsFor) => {
    test.each([
      ['all of it', VALUES],
      ['one value', ['locked-b']],
      ['nothing', []],
    ])('gives back what still stands: %s', (_what, standing) => {
      const { slots, unclear } = reclaim(file(OLD, ...modifications), observed(slotsFor(['other', ...standing])))
      expect(slots.flatMap(({ after }) => after)).toEqual(standing)
      expect(slots.every(({ dn, mode, before }) => dn === NOW && mode === 'value' && before.length === 0)).toBe(true)
      expect(unclear).toBeNull()
    })
  })
})

test('a whole attribute is ours while it holds just what we wrote, and what stood before is kept', () => {
  const written = file(OLD, 'delete: loginShell\nloginShell: /bin/false', 'add: loginShell\nloginShell: /bin/sh')
  const at = (current: string[]): LockSlot[] => [slot('whole', 'loginShell', current, ['/bin/false'])]
  const before = ['/bin/sh']
  expect(reclaim(written, observed(at(['/bin/false']))).slots).toMatchObject([{ before, after: ['/bin/false'] }])
  expect(reclaim(written, observed(at(['/bin/zsh'])))).toEqual({ slots: [], unclear: null })
})

test('a value of an earlier configuration in the account’s own entry is ours all the same', () => {
  const { slots } = reclaim(
    file(NOW, 'delete: carLicense\ncarLicense: earlier'),
    observed([slot('value', 'carLicense', ['earlier'], ['locked-a'])]),
  )
  expect(slots).toMatchObject([{ after: ['earlier'] }])
})

test('what was taken out of a group is put back under the name of now', () => {
  const written = file(GROUP, `add: member\nmember: ${OLD}`)
  const { slots, unclear } = reclaim(written, observed([slot('absent', 'member', [], [NOW], GROUP)]))
  expect({ slots, unclear }).toMatchObject({ slots: [{ mode: 'absent', after: [NOW] }], unclear: null })
})

test('a place that the configuration no longer names is told, and not taken for the account', () => {
  const { slots, unclear } = reclaim(
    file('cn=former,ou=groups,dc=example,dc=org', `delete: member\nmember: ${OLD}`),
    observed([slot('whole', 'loginShell', ['/bin/sh'], ['/bin/false'])]),
  )
  expect(slots).toEqual([])
  expect(unclear).toBe(
    'member of cn=former,ou=groups,dc=example,dc=org is no part of a lock by the configuration of now',
  )
})
