import { integerOf } from '../core/bit.ts'
import type { AttributeValue } from '../core/state.ts'
import type { AccountEntry } from './driver.ts'

/** Accounts of Active Directory that keep the domain itself going, and are therefore never locked. */

export const PRINCIPAL_ATTRIBUTES = ['objectSid', 'objectClass', 'userAccountControl', 'sAMAccountName'] as const

/** MS-ADTS, 2.2.16: UF_INTERDOMAIN_TRUST_ACCOUNT, UF_WORKSTATION_TRUST_ACCOUNT, UF_SERVER_TRUST_ACCOUNT. */
const TRUST_BITS = 0x0800
const COMPUTER_BITS = 0x1000 | 0x2000
/** MS-DTYP, 2.4.2.4: well-known relative ids of a domain. */
const WELL_KNOWN: Readonly<Record<number, string>> = {
  500: 'it is the built-in administrator',
  502: 'it is krbtgt, whose keys the whole domain rests on',
}
/** Of a read-only domain controller. */
const KRBTGT_OF_RODC = /^krbtgt_\d+$/i
const CLASSES: Readonly<Record<string, string>> = {
  computer: 'it is a computer account',
  'msds-managedserviceaccount': 'it is a managed service account',
  'msds-groupmanagedserviceaccount': 'it is a group managed service account',
  'msds-delegatedmanagedserviceaccount': 'it is a delegated managed service account',
}

/** @returns why it is never locked, as in "it is a computer account"; null for an account of a person */
export function protectedPrincipal(account: AccountEntry): string | null {
  const rid = relativeIdOf(account.values('objectSid')[0])
  const wellKnown = rid === null ? undefined : WELL_KNOWN[rid]
  if (wellKnown !== undefined) return wellKnown
  if (KRBTGT_OF_RODC.test(account.text('sAMAccountName') ?? '')) return WELL_KNOWN[502] ?? null
  const classes = account.values('objectClass').map((name) => String(name).toLowerCase())
  // The most special class comes last.
  const special = classes.toReversed().find((name) => CLASSES[name] !== undefined)
  if (special !== undefined) return CLASSES[special] ?? null
  const control = integerOf(account.values('userAccountControl')) ?? 0
  if ((control & TRUST_BITS) !== 0) return 'it is the account of a trust with another domain'
  return (control & COMPUTER_BITS) === 0 ? null : 'it is a computer account'
}

/** `S-1-5-21-…-500` in the form in which it is read (MS-DTYP, 2.4.2.2). @returns null for what is no SID of a domain */
export function relativeIdOf(value: AttributeValue | undefined): number | null {
  const bytes = sidBytes(value)
  return bytes === null || bytes.readUInt32LE(8) !== 21 ? null : bytes.readUInt32LE(bytes.length - 4)
}

const SID_HEAD_BYTES = 8
const SUB_AUTHORITY_BYTES = 4

function sidBytes(value: AttributeValue | undefined): Buffer | null {
  if (value === undefined) return null
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value)
  const count = bytes[1] ?? 0
  return count > 0 && bytes.length === SID_HEAD_BYTES + count * SUB_AUTHORITY_BYTES ? bytes : null
}

/** `S-1-5-21-1-2-3-1104`, as the tools of Active Directory write it; null for what is none. */
export function sidText(value: AttributeValue | undefined): string | null {
  const bytes = sidBytes(value)
  if (bytes === null) return null
  const authority = bytes.readUIntBE(2, 6)
  const parts = Array.from({ length: bytes[1] ?? 0 }, (_, index) => {
    return bytes.readUInt32LE(SID_HEAD_BYTES + index * SUB_AUTHORITY_BYTES)
  })
  return ['S', bytes[0], authority, ...parts].join('-')
}
