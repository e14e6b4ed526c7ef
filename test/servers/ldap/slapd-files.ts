import type { TestCertificates } from '../test-certificates.ts'

export interface SlapdOptions {
  /** Users `u1` to `uN` below `ou=people`, each with the password `userpw`. Default 25. */
  readonly users?: number
  /** False: the password policy module is not loaded at all. */
  readonly ppolicy?: boolean
  /** False: the module is loaded, and no overlay is active. */
  readonly ppolicyOverlay?: boolean
  /** False: the overlay names no default policy. */
  readonly defaultPolicy?: boolean
  readonly pwdLockout?: boolean
  /** False: the service may not read cn=config. It may otherwise, unless `globalConfig` has a section for it. */
  readonly configReadable?: boolean
  /** True: there is a second database, `dc=other`, on which the overlay is active. */
  readonly otherDatabase?: boolean
  readonly pwdLockoutDurationS?: number
  /** For speed: nothing is synced to disk. */
  readonly dbNoSync?: boolean
  /** `access to …` clauses that come before all others. */
  readonly accessRules?: string
  /** Lines of slapd.conf(5) before and within the database section. */
  readonly globalConfig?: string
  readonly databaseConfig?: string
  /** Further entries, each ending with a newline, apart by an empty line. */
  readonly extraLdif?: string
  /** Folder of another server whose data it starts with, with the same ids. */
  readonly dataOf?: string
  /** File of `slapcat` that it starts with, in place of the users. */
  readonly content?: string
  /** False: the server knows no TLS. */
  readonly tls?: boolean
  readonly certificate?: 'good' | 'wrong-name' | 'expired'
}

export const BASE = 'dc=example,dc=org'
export const ADMIN_DN = `cn=admin,${BASE}`
export const ADMIN_PASSWORD = 'adminpw'
export const SERVICE_DN = `cn=lockstep,ou=services,${BASE}`
export const MANAGE_DN = `cn=manager,ou=services,${BASE}`
export const READER_DN = `cn=reader,ou=services,${BASE}`
export const SERVICE_PASSWORD = 'servicepw'
export const USER_PASSWORD = 'userpw'
export const POLICY_DN = `cn=default,ou=policies,${BASE}`

/** slapd.conf(5). The service may write `pwdAccountLockedTime` and `description` and read the rest, no more. */
export function slapdConf(dir: string, tls: TestCertificates, options: SlapdOptions): string {
  const ppolicy = options.ppolicy ?? true
  return `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
${ppolicy ? 'moduleload ppolicy' : ''}
pidfile ${dir}/slapd.pid
argsfile ${dir}/slapd.args
loglevel 0
sizelimit unlimited
${(options.tls ?? true) ? tlsLines(tls) : ''}
${options.globalConfig ?? ''}
${configAccess(options)}
database mdb
suffix "${BASE}"
rootdn "${ADMIN_DN}"
rootpw ${ADMIN_PASSWORD}
directory ${dir}/db
maxsize 1073741824
${options.dbNoSync === true ? 'dbnosync' : ''}
index objectClass eq
index uid eq
index entryCSN,entryUUID eq
index description eq
${ppolicy ? 'index pwdAccountLockedTime pres,eq' : ''}
${options.accessRules ?? ''}
access to attrs=userPassword
  by anonymous auth
  by * none
${ppolicy ? lockAccess() : ''}
access to attrs=description
  by dn.exact="${SERVICE_DN}" write
  by dn.exact="${MANAGE_DN}" write
  by users read
access to *
  by users read
  by * none
${ppolicy && (options.ppolicyOverlay ?? true) ? overlay(options) : ''}
${options.databaseConfig ?? ''}
${options.otherDatabase === true ? otherDatabase(dir) : ''}
`
}

/** As docs/how-to/openldap.md gives it. */
function configAccess({ configReadable = true, ppolicy = true, globalConfig = '' }: SlapdOptions): string {
  if (!configReadable || !ppolicy || globalConfig.includes('database config')) return ''
  const attributes = 'entry,objectClass,olcSuffix,olcOverlay,olcPPolicyDefault,olcDbIndex'
  return `database config\naccess to dn.subtree="cn=config" attrs=${attributes} by dn.exact="${SERVICE_DN}" read by * break`
}

function otherDatabase(dir: string): string {
  return `database mdb
suffix "dc=other"
directory ${dir}/other
overlay ppolicy
ppolicy_default "cn=default,dc=other"`
}

function tlsLines(tls: TestCertificates): string {
  return `TLSCACertificateFile ${tls.caFile}
TLSCertificateFile ${tls.certFile}
TLSCertificateKeyFile ${tls.keyFile}`
}

function lockAccess(): string {
  return `access to attrs=pwdAccountLockedTime
  by dn.exact="${SERVICE_DN}" write
  by dn.exact="${MANAGE_DN}" manage
  by users read`
}

function overlay(options: SlapdOptions): string {
  const line = options.defaultPolicy === false ? '' : `ppolicy_default "${POLICY_DN}"`
  return `overlay ppolicy\n${line}`
}

/** The first content: the base, the services, the policy and the users `u1` to `uN`. */
export function slapdLdif(options: SlapdOptions): string {
  const parts = [
    `dn: ${BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n`,
    ...['people', 'services', 'policies', 'groups'].map(
      (ou) => `dn: ou=${ou},${BASE}\nobjectClass: organizationalUnit\nou: ${ou}\n`,
    ),
    ...[SERVICE_DN, MANAGE_DN, READER_DN].map(serviceEntry),
  ]
  if (options.ppolicy ?? true) parts.push(policyEntry(options))
  for (let number = 1; number <= (options.users ?? 25); number++) parts.push(userEntry(number))
  if (options.extraLdif !== undefined) parts.push(options.extraLdif)
  return parts.join('\n')
}

function serviceEntry(dn: string): string {
  const cn = dn.slice(3, dn.indexOf(','))
  const classes = 'objectClass: applicationProcess\nobjectClass: simpleSecurityObject'
  return `dn: ${dn}\n${classes}\ncn: ${cn}\nuserPassword: ${SERVICE_PASSWORD}\n`
}

function policyEntry(options: SlapdOptions): string {
  const lines = [
    `dn: ${POLICY_DN}`,
    'objectClass: applicationProcess',
    'objectClass: pwdPolicy',
    'cn: default',
    'pwdAttribute: userPassword',
    `pwdLockout: ${(options.pwdLockout ?? true) ? 'TRUE' : 'FALSE'}`,
    'pwdMaxFailure: 5',
    `pwdLockoutDuration: ${options.pwdLockoutDurationS ?? 0}`,
    'pwdFailureCountInterval: 0',
    'pwdAllowUserChange: TRUE',
  ]
  return lines.join('\n') + '\n'
}

function userEntry(number: number): string {
  const uid = `u${number}`
  const lines = [
    `dn: uid=${uid},ou=people,${BASE}`,
    'objectClass: inetOrgPerson',
    'objectClass: posixAccount',
    `uid: ${uid}`,
    `cn: User ${number}`,
    'sn: User',
    `mail: ${uid}@example.org`,
    `uidNumber: ${10_000 + number}`,
    'gidNumber: 1000',
    `homeDirectory: /home/${uid}`,
    'loginShell: /bin/bash',
    `userPassword: ${USER_PASSWORD}`,
  ]
  return lines.join('\n') + '\n'
}
