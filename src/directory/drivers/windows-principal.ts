import { integerOf } from '../../core/account/bit.ts'
import type { AccountEntry } from './driver.ts'
import { relativeIdOf } from '../protocol/sid.ts'

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
