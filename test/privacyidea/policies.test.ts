import { describe, expect, it } from 'vitest'
import {
  diffPolicies,
  isAtLeast,
  othersPolicy,
  policyRemovals,
  policyRequestOf,
  runTimeRights,
  wantedPolicies,
  wouldLockOthersOut,
  type PolicyRequest,
  type ExistingPolicy,
} from '../../src/privacyidea/setup/policies.ts'

const REQUEST: PolicyRequest = {
  runTimeAccount: 'lockstep',
  setUpAccount: null,
  version: '3.14',
  resetsTokens: false,
  mirrorDirectoryLocks: 'off',
}
const SUPER: ExistingPolicy = { name: 'super', admins: ['admin'], actions: ['*'], isActive: true }

describe('the rights of the running service', () => {
  it.each([
    ['3.11.4', ['tokenlist', 'userlist', 'auditlog']],
    ['3.13.4', ['tokenlist', 'userlist', 'auditlog']],
    ['3.14', ['tokenlist', 'userlist', 'auditlog', 'user_lock_read', 'authentication_log_read']],
    ['3.14dev2', ['tokenlist', 'userlist', 'auditlog', 'user_lock_read', 'authentication_log_read']],
    ['4.0', ['tokenlist', 'userlist', 'auditlog', 'user_lock_read', 'authentication_log_read']],
  ])('on %s: %j', (version, rights) => {
    expect(runTimeRights({ ...REQUEST, version })).toEqual(rights)
  })

  it('takes more only where more is done', () => {
    const all: PolicyRequest = { ...REQUEST, resetsTokens: true, mirrorDirectoryLocks: 'user-lock' }
    expect(runTimeRights(all).slice(5)).toEqual(['reset', 'user_lock_set', 'user_lock_reset'])
    expect(runTimeRights({ ...all, version: '3.12.3' }).slice(3)).toEqual(['reset'])
    const tokens: PolicyRequest = { ...all, mirrorDirectoryLocks: 'disable-tokens' }
    expect(runTimeRights(tokens).slice(5)).toEqual(['reset', 'disable', 'enable'])
    expect(runTimeRights({ ...tokens, version: '3.12.3' }).slice(3)).toEqual(['reset', 'disable', 'enable'])
  })
})

describe('the first admin policy', () => {
  it.each([
    ['no policy at all', [], true],
    ['one that is off', [{ ...SUPER, isActive: false }], true],
    ['one that is on', [SUPER], false],
  ])('%s: others would be locked out: %j', (_title, existing, expected) => {
    expect(wouldLockOthersOut(existing)).toBe(expected)
  })

  it('is the one that keeps the others in, and it is written first and removed last', () => {
    const wanted = [...wantedPolicies({ ...REQUEST, setUpAccount: 'setup' }), othersPolicy(REQUEST)]
    const changes = diffPolicies([], wanted)
    const names = changes.map((change) => (change.kind === 'remove' ? '' : change.wanted.name))
    expect(names).toEqual(['lockstep-other-admins', 'lockstep-run-time', 'lockstep-set-up'])
    expect(policyRequestOf(othersPolicy(REQUEST))).toMatchObject({ adminuser: '-lockstep, *', action: '*' })
    const existing = [SUPER, ...wanted.map((policy) => ({ ...policy, isActive: true }))]
    expect(policyRemovals(existing)).toEqual(names.toReversed().map((name) => ({ kind: 'remove', name })))
    expect(policyRemovals([SUPER])).toEqual([])
  })
})

it('a policy that stands as wanted stays; one that was changed or switched off is written again', () => {
  const [wanted] = wantedPolicies(REQUEST)
  if (wanted === undefined) throw new Error('no policy')
  const stands = { ...wanted, actions: wanted.actions.toReversed(), isActive: true }
  const kinds = (existing: ExistingPolicy): string[] => diffPolicies([existing], [wanted]).map((change) => change.kind)
  expect(kinds(stands)).toEqual(['same'])
  expect(kinds({ ...stands, isActive: false })).toEqual(['update'])
  expect(kinds({ ...stands, actions: ['tokenlist'] })).toEqual(['update'])
  expect(kinds({ ...stands, admins: ['*'] })).toEqual(['update'])
})

it.each([
  ['3.12.0', false],
  ['3.12', false],
  ['3.12.1', true],
  ['3.13', true],
  ['3.11.9', false],
  ['4.0', true],
  ['unknown', true],
])('%s is 3.12.1 or newer: %j', (version, expected) => {
  expect(isAtLeast(version, 3, 12, 1)).toBe(expected)
})
