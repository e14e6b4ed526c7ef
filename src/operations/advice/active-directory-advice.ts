import type { DirectorySettings } from '../../core/settings/settings.ts'

/**
 * The rights that Lockstep needs on accounts of Active Directory, as lines that are ready to copy; the long form is
 * docs/how-to/active-directory.md. The GUIDs are schemaIDGUIDs of Microsoft's schema (MS-ADTS, 5.1.3.2 and 3.1.1.2.3.3).
 */

const USER_CLASS = 'bf967aba-0de6-11d0-a285-00aa003049e2'
/** The property set "Account Restrictions": userAccountControl, accountExpires and what is computed from them. */
const ACCOUNT_RESTRICTIONS = '4c164200-20c0-11d0-a768-00aa006e0529'
const RESULTANT_PSO = 'b77ea093-88d0-4780-9a98-911f8e8b1dca'
const SCHEMA_IDS: Readonly<Record<string, string>> = {
  useraccountcontrol: 'bf967a68-0de6-11d0-a285-00aa003049e2',
  description: 'bf967950-0de6-11d0-a285-00aa003049e2',
  lockouttime: '28630ebf-41d5-11d1-a9c1-0000f80367c1',
}

/** The account that the rights are for, as far as it could be looked up. */
export interface Trustee {
  /** `S-1-5-21-…`. */
  readonly sid: string | null
  /** `EXAMPLE\lockstep`. */
  readonly name: string | null
  /** schemaIDGUIDs by attribute in lower case. */
  readonly schemaIds: ReadonlyMap<string, string>
}

export const UNKNOWN_TRUSTEE: Trustee = { sid: null, name: null, schemaIds: new Map() }

/** All attributes that are written to an account. */
export function writtenAttributes(settings: DirectorySettings): string[] {
  return ['userAccountControl', settings.serialAttribute, ...(settings.clearLockout ? ['lockoutTime'] : [])]
}

export function writeRightAdvice(
  settings: DirectorySettings,
  attributes: readonly string[],
  { sid, name, schemaIds }: Trustee,
): string {
  const who = name ?? settings.bindDn
  const grants = attributes.map((attribute) => `"${who}:RPWP;${attribute};user"`)
  const reads = ['Account Restrictions', 'msDS-ResultantPSO'].map((right) => `"${who}:RP;${right};user"`)
  const ids = attributes.map((attribute) => {
    const lower = attribute.toLowerCase()
    return SCHEMA_IDS[lower] ?? schemaIds.get(lower) ?? `SCHEMA-ID-GUID-OF-${attribute}`
  })
  const trustee = sid ?? 'SID'
  const entries = [
    ...ids.map((id) => `(OA;CI;RPWP;${id};${USER_CLASS};${trustee})`),
    ...[ACCOUNT_RESTRICTIONS, RESULTANT_PSO].map((id) => `(OA;CI;RP;${id};${USER_CLASS};${trustee})`),
  ]
  return [
    '# on a domain controller of Windows:',
    `dsacls "${settings.base}" /I:S /G ${[...grants, ...reads].join(' ')}`,
    '# on Samba, as root:',
    ...(sid === null ? [`# SID is the objectSid of ${settings.bindDn}`] : []),
    `samba-tool dsacl set --objectdn="${settings.base}" --action=allow --sddl="${entries.join('')}"`,
  ].join('\n')
}

export function readRightAdvice(settings: DirectorySettings): string {
  return [
    `dsacls "${settings.base}" /I:T /G "${settings.bindDn}:GR"`,
    '# on Samba, as root; SID is the objectSid of that account:',
    `samba-tool dsacl set --objectdn="${settings.base}" --action=allow --sddl="(A;CI;RPLCLORC;;;SID)"`,
  ].join('\n')
}

/** 1: equality, 32: words within the text (MS-ADTS, 2.2.10). */
/** The limit holds for the whole forest; its default is 1000. */
export function searchLimitAdvice(): string {
  return [
    '# on a domain controller, as a member of Enterprise Admins:',
    'ntdsutil "ldap policies" connections "connect to server localhost" quit "Set MaxPageSize to 1000" "Commit Changes" quit quit',
  ].join('\n')
}

export function indexAdvice(attribute: string): string {
  return [
    `# as a schema administrator, in the entry of CN=Schema,CN=Configuration whose lDAPDisplayName is ${attribute}:`,
    '# add 33 to searchFlags (1: equality, 32: words within the text); or name another attribute in serialAttribute',
  ].join('\n')
}
