import type { Change, ChangeKind, EntryModification } from '../../src/core/account/change.ts'
import {
  accountKey,
  asDn,
  parseAccountId,
  parseDirectoryName,
  parseHoldName,
  parseSerial,
} from '../../src/core/names.ts'
import type { AccountKey, HoldName, Serial } from '../../src/core/names.ts'

/** Changes as the planner makes them, for tests of what becomes of them on disk. */

export const NOON_MS = Date.UTC(2026, 10, 24, 12, 0, 0, 0)
export const NOON = '20261124T120000.000Z'

export function keyOf(id: string): AccountKey {
  const directory = parseDirectoryName('corp')
  const account = parseAccountId(id)
  if (directory === null || account === null) throw new Error(`no account id: ${id}`)
  return accountKey(directory, account)
}

export function hold(text: string): HoldName {
  const name = parseHoldName(text)
  if (name === null) throw new Error(`no hold: ${text}`)
  return name
}

export function serial(text: string): Serial {
  const parsed = parseSerial(text)
  if (parsed === null) throw new Error(`no serial: ${text}`)
  return parsed
}

/** A name that nothing has checked, as if a check elsewhere had failed. */
export function unchecked(text: string): HoldName {
  return text as HoldName
}

export function change(kind: ChangeKind, holds: readonly HoldName[], rest: Partial<Change> = {}): Change {
  const dn = rest.dn ?? asDn('uid=alice,ou=people,dc=example,dc=org')
  const isLock = kind === 'lock' || kind === 'unlock'
  const attribute = isLock ? 'pwdAccountLockedTime' : 'description'
  const values = isLock ? ['000001010000Z'] : [`privacyIDEA:${holds[0]}`]
  const entries = (op: 'add' | 'delete'): EntryModification[] => [{ dn, modifications: [{ op, attribute, values }] }]
  const adds = kind === 'lock' || kind === 'register'
  return {
    kind,
    key: keyOf('a1'),
    dn,
    serial: isLock ? null : parseSerial(holds[0] ?? ''),
    holds,
    forward: entries(adds ? 'add' : 'delete'),
    inverse: entries(adds ? 'delete' : 'add'),
    slots: [],
    reason: { code: 'manual', params: { text: `a test of ${kind}` } },
    actor: 'admin@',
    id: 'c1',
    plannedAtMs: NOON_MS,
    ...rest,
  }
}
