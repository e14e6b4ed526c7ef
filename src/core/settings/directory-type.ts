/** The kinds of directory that the configuration knows; a driver each (`directory/drivers/drivers.ts`). */
export const DIRECTORY_TYPES = ['openldap', 'active-directory', '389ds', 'freeipa', 'custom'] as const
export type DirectoryType = (typeof DIRECTORY_TYPES)[number]

/** What the keys of a directory are where the file does not say. */
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

/** A default in words for the manual: that of most types, and the ones that differ. */
export function defaultInWords(key: keyof TypeDefaults): string {
  const usual = TYPE_DEFAULTS.openldap[key]
  const others = DIRECTORY_TYPES.filter((type) => TYPE_DEFAULTS[type][key] !== usual)
  return [usual, ...others.map((type) => `with ${type} ${TYPE_DEFAULTS[type][key]}`)].join('; ')
}
