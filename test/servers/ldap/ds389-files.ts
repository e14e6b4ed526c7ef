/** What a test instance of 389-DS is made of: names, its dse.ldif(5), and the first content of its database. */

export const BASE = 'dc=example,dc=org'
export const ADMIN_DN = 'cn=Directory Manager'
export const ADMIN_PASSWORD = 'adminpw'
export const SERVICE_PASSWORD = 'servicepw'
export const USER_PASSWORD = 'userpw'
export const USERS = 150

/** `plain`: people and services below the suffix. `freeipa`: where FreeIPA keeps its users, with its attributes. */
export type Layout = 'plain' | 'freeipa'

export interface Names {
  readonly peopleDn: string
  readonly serviceDn: string
  /** May read, and write nothing. */
  readonly readerDn: string
}

const NAMES: Readonly<Record<Layout, Names>> = {
  plain: {
    peopleDn: `ou=people,${BASE}`,
    serviceDn: `cn=lockstep,ou=services,${BASE}`,
    readerDn: `cn=reader,ou=services,${BASE}`,
  },
  freeipa: {
    peopleDn: `cn=users,cn=accounts,${BASE}`,
    serviceDn: `uid=lockstep,cn=sysaccounts,cn=etc,${BASE}`,
    readerDn: `uid=reader,cn=sysaccounts,cn=etc,${BASE}`,
  },
}

export function namesOf(layout: Layout): Names {
  return NAMES[layout]
}

/** What the service may read and write, as docs/how-to/389ds-freeipa.md gives it; nobody else may do anything but bind. */
const RIGHTS: Readonly<Record<Layout, { readonly read: string; readonly write: string }>> = {
  plain: {
    read: 'objectClass || uid || nsUniqueId || description || nsAccountLock || accountUnlockTime || passwordRetryCount',
    write: 'nsAccountLock || description',
  },
  freeipa: {
    read: 'objectClass || uid || ipaUniqueID || description || nsAccountLock || krbLoginFailedCount || krbLastFailedAuth || krbLastAdminUnlock || krbPwdPolicyReference || krbPrincipalExpiration || accountUnlockTime || passwordRetryCount',
    write: 'nsAccountLock || description',
  },
}

const TEXT_SYNTAX = '1.3.6.1.4.1.1466.115.121.1.15'
const INTEGER_SYNTAX = '1.3.6.1.4.1.1466.115.121.1.27'
const TIME_SYNTAX = '1.3.6.1.4.1.1466.115.121.1.24'

export function readAci(layout: Layout, dn: string): string {
  return `(targetattr="${RIGHTS[layout].read}")(version 3.0; acl "Lockstep reads accounts"; allow (read, search, compare) userdn="ldap:///${dn}";)`
}

export function writeAci(layout: Layout, dn: string): string {
  return `(targetattr="${RIGHTS[layout].write}")(version 3.0; acl "Lockstep locks accounts"; allow (write) userdn="ldap:///${dn}";)`
}

/** FreeIPA's policy of lockouts after failed logins: readable by few; this one right shows it. */
export function policyAci(dn: string): string {
  const attributes = 'objectClass || krbPwdMaxFailure || krbPwdLockoutDuration'
  return `(targetattr="${attributes}")(version 3.0; acl "Lockstep reads lockout policies"; allow (read, search, compare) userdn="ldap:///${dn}";)`
}

/**
 * Of the template that the package brings: listens on loopback alone, speaks TLS, keeps small caches, hashes passwords
 * quickly and does not sync each write.
 * @param template /usr/share/dirsrv/data/template-dse.ldif and template-suffix-db.ldif
 */
export function dseLdif(
  template: { readonly dse: string; readonly suffix: string },
  dir: string,
  user: string,
): string {
  const values: Readonly<Record<string, string>> = {
    schema_dir: `${dir}/etc/schema`,
    lock_dir: `${dir}/lock`,
    tmp_dir: `${dir}/tmp`,
    cert_dir: `${dir}/etc`,
    ldif_dir: `${dir}/ldif`,
    bak_dir: `${dir}/bak`,
    run_dir: `${dir}/run`,
    inst_dir: `${dir}/inst`,
    log_dir: `${dir}/log`,
    config_dir: `${dir}/etc`,
    db_dir: `${dir}/db`,
    db_home_dir: `${dir}/db`,
    db_lib: 'bdb',
    fqdn: 'localhost',
    ds_port: '0',
    ds_user: user,
    rootdn: ADMIN_DN,
    ds_passwd: `{CLEAR}${ADMIN_PASSWORD}`,
    ldapi_enabled: 'off',
    ldapi: `${dir}/run/ldapi`,
    ldapi_autobind: 'off',
    ds_suffix: BASE,
    ds_bename: 'userRoot',
  }
  const filled = `${template.dse}\n\n${template.suffix.replace(/^#.*\n/gm, '')}\n\n${INDEXES}`.replace(
    /%([a-z_]+)%/g,
    (whole, name: string) => values[name] ?? whole,
  )
  // Two empty lines in a row are an error of syntax.
  return filled.replace(/^nsslapd-port:.*$/m, LISTEN).replace(/\n{3,}/g, '\n\n')
}

/** The ports are those of the copy that runs: `relocated`. */
const LISTEN = [
  'nsslapd-port: 0',
  'nsslapd-listenhost: 127.0.0.1',
  'nsslapd-securelistenhost: 127.0.0.1',
  'nsslapd-secureport: 636',
  'nsslapd-security: on',
  'passwordStorageScheme: SSHA',
].join('\n')

/** As docs/how-to/389ds-freeipa.md gives them. */
const INDEXES = ['description', 'nsAccountLock']
  .map(
    (attribute) =>
      `dn: cn=${attribute},cn=index,cn=userRoot,cn=ldbm database,cn=plugins,cn=config\nobjectClass: top\nobjectClass: nsIndex\ncn: ${attribute}\nnsSystemIndex: false\nnsIndexType: eq\n`,
  )
  .join('\n')

/**
 * Sets the ports of a copy and makes it lie in its own folder.
 * @param name of the folder of its configuration, which the server names a semaphore of the machine after
 */
export function relocated(
  dse: string,
  from: string,
  to: string,
  name: string,
  ports: { readonly plain: number; readonly secure: number },
): string {
  return dse
    .replaceAll(new RegExp(`${from}/etc(?=/|$)`, 'gm'), `${to}/${name}`)
    .replaceAll(`${from}/`, `${to}/`)
    .replace(/^nsslapd-port:.*$/m, `nsslapd-port: ${ports.plain}`)
    .replace(/^nsslapd-secureport:.*$/im, `nsslapd-secureport: ${ports.secure}`)
}

/**
 * FreeIPA's own schema is not packaged for a directory alone; this is the part of it that a lock touches. Most of Kerberos'
 * is brought by 389-DS (60kerberos.ldif), from before there were lockouts.
 */
export const IPA_SCHEMA = [
  'dn: cn=schema',
  `attributeTypes: ( 2.16.840.1.113730.3.8.3.1 NAME 'ipaUniqueID' EQUALITY caseIgnoreMatch SYNTAX ${TEXT_SYNTAX} SINGLE-VALUE )`,
  `attributeTypes: ( 1.3.6.1.4.1.5322.21.2.1 NAME 'krbPwdMaxFailure' EQUALITY integerMatch SYNTAX ${INTEGER_SYNTAX} SINGLE-VALUE )`,
  `attributeTypes: ( 1.3.6.1.4.1.5322.21.2.2 NAME 'krbPwdFailureCountInterval' EQUALITY integerMatch SYNTAX ${INTEGER_SYNTAX} SINGLE-VALUE )`,
  `attributeTypes: ( 1.3.6.1.4.1.5322.21.2.3 NAME 'krbPwdLockoutDuration' EQUALITY integerMatch SYNTAX ${INTEGER_SYNTAX} SINGLE-VALUE )`,
  `attributeTypes: ( 1.3.6.1.4.1.5322.21.2.5 NAME 'krbLastAdminUnlock' EQUALITY generalizedTimeMatch SYNTAX ${TIME_SYNTAX} SINGLE-VALUE )`,
  "objectClasses: ( 2.16.840.1.113730.3.8.4.1 NAME 'ipaObject' SUP top AUXILIARY MUST ( ipaUniqueID ) )",
  "objectClasses: ( 1.3.6.1.4.1.5322.21.2.91 NAME 'lockoutOfTests' SUP top AUXILIARY MAY ( krbPwdMaxFailure $ krbPwdFailureCountInterval $ krbPwdLockoutDuration $ krbLastAdminUnlock ) )",
  '',
].join('\n')

export function firstLdif(layout: Layout): string {
  const parts = layout === 'plain' ? plainEntries() : ipaEntries()
  for (let number = 1; number <= USERS; number++) parts.push(userEntry(layout, number))
  return parts.join('\n')
}

function plainEntries(): string[] {
  const { serviceDn, readerDn } = NAMES.plain
  const acis = [readAci('plain', serviceDn), readAci('plain', readerDn), writeAci('plain', serviceDn)]
  return [
    `dn: ${BASE}\nobjectClass: top\nobjectClass: domain\ndc: example\n`,
    `dn: ou=people,${BASE}\nobjectClass: organizationalUnit\nou: people\n${acisOf(acis)}`,
    ...['services', 'groups'].map((ou) => `dn: ou=${ou},${BASE}\nobjectClass: organizationalUnit\nou: ${ou}\n`),
    ...[serviceDn, readerDn].map((dn) => serviceEntry(dn, 'cn')),
  ]
}

const IPA_CONTAINERS = [
  'cn=accounts',
  'cn=groups,cn=accounts',
  'cn=etc',
  'cn=sysaccounts,cn=etc',
  'cn=provisioning',
  'cn=accounts,cn=provisioning',
  'cn=staged users,cn=accounts,cn=provisioning',
  'cn=deleted users,cn=accounts,cn=provisioning',
]
export const IPA_POLICY_DN = `cn=global_policy,cn=EXAMPLE.ORG,cn=kerberos,${BASE}`

function ipaEntries(): string[] {
  const { serviceDn, readerDn } = NAMES.freeipa
  const acis = [readAci('freeipa', serviceDn), readAci('freeipa', readerDn), writeAci('freeipa', serviceDn)]
  const container = (rdns: string, lines = '') =>
    `dn: ${rdns},${BASE}\nobjectClass: nsContainer\ncn: ${rdns.slice(3).split(',')[0]}\n${lines}`
  return [
    `dn: ${BASE}\nobjectClass: top\nobjectClass: domain\ndc: example\n`,
    ...IPA_CONTAINERS.map((rdns) => container(rdns)),
    container('cn=users,cn=accounts', acisOf(acis)),
    container('cn=kerberos', acisOf([policyAci(serviceDn)])),
    `dn: cn=EXAMPLE.ORG,cn=kerberos,${BASE}\nobjectClass: krbRealmContainer\ncn: EXAMPLE.ORG\n`,
    `dn: ${IPA_POLICY_DN}\nobjectClass: nsContainer\nobjectClass: krbPwdPolicy\nobjectClass: lockoutOfTests\ncn: global_policy\nkrbPwdMaxFailure: 6\nkrbPwdFailureCountInterval: 60\nkrbPwdLockoutDuration: 600\n`,
    ...[serviceDn, readerDn].map((dn) => serviceEntry(dn, 'uid')),
  ]
}

function acisOf(acis: readonly string[]): string {
  return acis.map((aci) => `aci: ${aci}\n`).join('')
}

const LIMITS = ['nsSizeLimit', 'nsLookThroughLimit', 'nsIDListScanLimit']

function serviceEntry(dn: string, rdn: 'cn' | 'uid'): string {
  const name = dn.slice(rdn.length + 1, dn.indexOf(','))
  const lines = rdn === 'cn' ? `objectClass: applicationProcess\ncn: ${name}` : `objectClass: account\nuid: ${name}`
  const limits = LIMITS.map((attribute) => `${attribute}: -1\n`).join('')
  const own = `(targetattr="objectClass || ${LIMITS.join(' || ')}")(version 3.0; acl "Lockstep sees its limits"; allow (read, search, compare) userdn="ldap:///self";)`
  return `dn: ${dn}\n${lines}\nobjectClass: simpleSecurityObject\nuserPassword: ${SERVICE_PASSWORD}\n${limits}aci: ${own}\n`
}

function userEntry(layout: Layout, number: number): string {
  const uid = `u${number}`
  const lines = [
    `dn: uid=${uid},${NAMES[layout].peopleDn}`,
    'objectClass: inetOrgPerson',
    'objectClass: posixAccount',
    ...(layout === 'plain' ? [] : ipaLines(number)),
    `uid: ${uid}`,
    `cn: User ${number}`,
    'sn: User',
    `uidNumber: ${10_000 + number}`,
    'gidNumber: 1000',
    `homeDirectory: /home/${uid}`,
    `userPassword: ${USER_PASSWORD}`,
  ]
  return lines.join('\n') + '\n'
}

function ipaLines(number: number): string[] {
  const id = `c6bf0a2e-0000-11f0-9c3a-${String(number).padStart(12, '0')}`
  const classes = ['ipaObject', 'krbPrincipalAux', 'lockoutOfTests', 'krbTicketPolicyAux', 'inetUser']
  return [
    ...classes.map((name) => `objectClass: ${name}`),
    `ipaUniqueID: ${id}`,
    `krbPrincipalName: u${number}@EXAMPLE.ORG`,
  ]
}
