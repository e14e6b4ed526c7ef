/**
 * Active Directory's diagnostic text has more than the LDAP result: a number of Windows (winerror.h), as in `80090308:
 * LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 533, v1db1`.
 */

export interface WindowsReason {
  readonly text: string
  readonly hint: string
}

const LET_IN = 'Put that right for the account of bindDn: it must always be able to bind.'

/** After `data` in the answer to a bind. Domain controllers write them without the leading zeros. */
const BIND_REASONS: Readonly<Record<string, WindowsReason>> = {
  '525': { text: 'there is no such account', hint: 'Correct bindDn.' },
  '52e': { text: 'the name or the password is wrong', hint: 'Correct bindDn or the password file.' },
  '52f': { text: 'restrictions of the account forbid it', hint: LET_IN },
  '530': { text: 'the account may not log on at this time', hint: LET_IN },
  '531': { text: 'the account may not log on from this machine', hint: LET_IN },
  '532': { text: 'the password of the account has expired', hint: 'Set a new one, which never expires.' },
  '533': { text: 'the account is disabled', hint: LET_IN },
  '568': { text: 'the account is in too many groups', hint: LET_IN },
  '701': { text: 'the account has expired', hint: LET_IN },
  '773': { text: 'the account must first change its password', hint: 'Set a new one, which never expires.' },
  '775': {
    text: 'the account is locked out after too many wrong passwords',
    hint: 'Correct the password file, then unlock the account.',
  },
}

/** @param diagnostic the server's own message @returns null where it has no such reason */
export function bindReasonOf(diagnostic: string): WindowsReason | null {
  const number = /\bdata 0*([0-9a-f]+),/i.exec(diagnostic)?.[1]?.toLowerCase()
  return BIND_REASONS[number ?? ''] ?? null
}

/** No bind is in effect on the connection (any more): both texts come with error 1, operationsError. */
export function saysUnbound(diagnostic: string): boolean {
  return /successful bind must be completed|operation unavailable without authentication/i.test(diagnostic)
}

/** ERROR_PASSWORD_RESTRICTION: an account is enabled whose password the policy does not allow. */
export function saysBadPassword(diagnostic: string): boolean {
  return /\b0000052D\b/i.test(diagnostic)
}
