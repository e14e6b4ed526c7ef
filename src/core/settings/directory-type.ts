/** The kinds of directory that the configuration knows. Each table by type names all of them, or does not compile. */
export const DIRECTORY_TYPES = ['openldap', 'active-directory', '389ds', 'freeipa', 'custom'] as const
export type DirectoryType = (typeof DIRECTORY_TYPES)[number]

/** Where nothing is known of a server: what most types have in common. */
export const USUAL_TYPE: DirectoryType = 'openldap'

/** The defaults of the keys of a directory. */
export interface TypeDefaults {
  readonly userFilter: string
  /** Where the filter compares no attribute with the login alone, or does so with several. */
  readonly loginAttribute: string
  readonly idAttribute: string
  readonly serialAttribute: string
}

const INET_ORG_PERSON: TypeDefaults = {
  userFilter: '(uid={login})',
  loginAttribute: 'uid',
  idAttribute: 'entryUUID',
  serialAttribute: 'description',
}

export const TYPE_DEFAULTS: Readonly<Record<DirectoryType, TypeDefaults>> = {
  openldap: INET_ORG_PERSON,
  'active-directory': {
    userFilter: '(&(objectCategory=person)(objectClass=user)(|(sAMAccountName={login})(userPrincipalName={login})))',
    loginAttribute: 'sAMAccountName',
    idAttribute: 'objectGUID',
    serialAttribute: 'description',
  },
  '389ds': { ...INET_ORG_PERSON, idAttribute: 'nsUniqueId' },
  freeipa: { ...INET_ORG_PERSON, idAttribute: 'ipaUniqueID' },
  custom: INET_ORG_PERSON,
}

/** How a type differs from the others, besides its driver. */
export interface TypeTraits {
  /** Its name as its maker writes it. */
  readonly product: string
  /** The page of the manual. */
  readonly page: string
  /** What locked means there, for the manual. */
  readonly lock: string
  /** The type whose lock it has: locks of ours stay ours when the configuration changes from one to the other. */
  readonly lockAsOf: DirectoryType
  /** What locked means is in the key `lock`; `lockstep init` does not offer such a type. */
  readonly isLockConfigured: boolean
  /** Its policies may make a lock ineffective, which the page explains. */
  readonly isLockSubjectToPolicy: boolean
  /** Takes `user@domain` and `DOMAIN\user` at a bind, besides a DN. */
  readonly takesWindowsNames: boolean
  /** Its bind may be asked for the password policy control (draft-behera-ldap-password-policy-10, 6.1). */
  readonly hasPolicyControl: boolean
  /** Entries name who wrote them last (RFC 4512, 3.4.2). */
  readonly hasModifiersName: boolean
}

const DS389: Omit<TypeTraits, 'product'> = {
  page: 'docs/how-to/389ds-freeipa.md',
  lock: '`nsAccountLock`',
  lockAsOf: '389ds',
  isLockConfigured: false,
  isLockSubjectToPolicy: true,
  takesWindowsNames: false,
  hasPolicyControl: false,
  hasModifiersName: true,
}

export const TYPE_TRAITS: Readonly<Record<DirectoryType, TypeTraits>> = {
  openldap: {
    product: 'OpenLDAP',
    page: 'docs/how-to/openldap.md',
    lock: '`pwdAccountLockedTime` of the password policy overlay',
    lockAsOf: 'openldap',
    isLockConfigured: false,
    isLockSubjectToPolicy: true,
    takesWindowsNames: false,
    hasPolicyControl: true,
    hasModifiersName: true,
  },
  'active-directory': {
    product: 'Active Directory',
    page: 'docs/how-to/active-directory.md',
    lock: 'the bit "disabled" of `userAccountControl`',
    lockAsOf: 'active-directory',
    isLockConfigured: false,
    isLockSubjectToPolicy: false,
    takesWindowsNames: true,
    hasPolicyControl: false,
    hasModifiersName: false,
  },
  '389ds': { ...DS389, product: '389-DS' },
  freeipa: { ...DS389, product: 'FreeIPA' },
  custom: {
    product: 'an LDAP server',
    page: 'docs/how-to/openldap.md',
    lock: 'what the key `lock` says',
    lockAsOf: 'custom',
    isLockConfigured: true,
    isLockSubjectToPolicy: false,
    takesWindowsNames: false,
    hasPolicyControl: false,
    hasModifiersName: true,
  },
}

/** The types that have a trait, in the order of the list. */
export function typesThat(has: (traits: TypeTraits) => boolean): readonly DirectoryType[] {
  return DIRECTORY_TYPES.filter((type) => has(TYPE_TRAITS[type]))
}

/** The types whose bind takes other names than DNs, as in `only type active-directory takes …`. */
export const WINDOWS_NAMED = typesThat((traits) => traits.takesWindowsNames)

/** Those whose `lock` the configuration gives. */
export const LOCK_CONFIGURED = typesThat((traits) => traits.isLockConfigured)

/** As the manual has them. */
export function quotedTypes(types: readonly DirectoryType[]): string {
  return types.map((type) => `\`${type}\``).join(', ')
}

/** What locked means, by type, for the manual: types with the same lock share a sentence. */
export function locksInWords(): string {
  const locks = new Set(DIRECTORY_TYPES.map((type) => TYPE_TRAITS[type].lock))
  const sentences = [...locks].map((lock) => {
    return `${quotedTypes(typesThat((traits) => traits.lock === lock))}: ${lock}.`
  })
  return sentences.join(' ')
}

/** A default as a text for the manual: that of most types, and the ones that differ. */
export function defaultInWords(key: keyof TypeDefaults): string {
  const usual = TYPE_DEFAULTS[USUAL_TYPE][key]
  const others = DIRECTORY_TYPES.filter((type) => TYPE_DEFAULTS[type][key] !== usual)
  return [usual, ...others.map((type) => `with ${type} ${TYPE_DEFAULTS[type][key]}`)].join('; ')
}
