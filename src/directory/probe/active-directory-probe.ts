import { AndFilter, EqualityFilter, NotFilter, OrFilter, PresenceFilter, type Entry, type Filter } from 'ldapts'
import { AppError } from '../../core/error.ts'
import { textsOf, valuesIn } from '../protocol/entry.ts'
import { compileFilter } from '../protocol/filter.ts'
import { idCodecOf } from '../accounts/id-codec.ts'
import type { LdapDirectory } from '../ldap-directory.ts'
import { resultCodeOf } from '../protocol/result-code.ts'
import { namingContextOf } from '../pool/server-facts.ts'
import { readDomain, type DomainView } from '../drivers/active-directory.ts'
import { sidText } from '../protocol/sid.ts'

/** What can be learned of Active Directory before anything is written. Null, or none: it may not be read. */
export interface ActiveDirectoryProbe {
  /** `S-1-5-21-…` of the account that we bind as. */
  readonly sid: string | null
  /** `EXAMPLE\lockstep`, as dsacls takes it. */
  readonly name: string | null
  /** schemaIDGUID and searchFlags, by attribute in lower case. */
  readonly schema: ReadonlyMap<string, { readonly id: string; readonly searchFlags: number }>
  /** An account, and its attributes that we may write as the server reports, in lower case. */
  readonly account: { readonly dn: string; readonly writable: ReadonlySet<string> } | null
  /** Accounts that are, or were, administrators: they inherit no rights (AdminSDHolder). At most ADMINS_MAX. */
  readonly admins: readonly string[]
  readonly domain: DomainView
}

const ADMINS_MAX = 20
const ADMIN = new EqualityFilter({ attribute: 'adminCount', value: '1' })

export async function probeActiveDirectory(
  directory: LdapDirectory,
  attributes: readonly string[],
): Promise<ActiveDirectoryProbe> {
  const { settings } = directory
  const { facts } = await directory.reader()
  const anybody = compileFilter(settings.userFilter.replaceAll(/\{(?:login|realm)\}/g, '*'), 'userFilter')({})
  const own = await directory.protection.ownAccount(facts)
  const ownDn = own === null ? settings.bindDn : (own.dns[0] ?? null)
  const domain = namingContextOf(facts, ownDn ?? settings.base)
  const schemaBase = facts.namingContexts.find((each) => /^CN=Schema,/i.test(each))
  const [self, crossRef, schema, plain, admins, view] = await Promise.all([
    ownDn === null ? [] : search(directory, ownDn, null, ['objectSid', 'sAMAccountName'], 1),
    domain === null ? [] : search(directory, partitionsOf(facts.namingContexts), isDomain(domain), ['nETBIOSName'], 1),
    schemaBase === undefined ? [] : search(directory, schemaBase, named(attributes), SCHEMA_ATTRIBUTES, 0),
    search(directory, settings.base, and(anybody, new NotFilter({ filter: ADMIN })), ['allowedAttributesEffective'], 1),
    search(directory, settings.base, and(anybody, ADMIN), ['1.1'], ADMINS_MAX),
    readDomain(directory.pool, settings, facts),
  ])
  const login = textsOf(self[0] ?? null, 'sAMAccountName')[0]
  const netbios = textsOf(crossRef[0] ?? null, 'nETBIOSName')[0]
  return {
    sid: sidText(valuesIn(self[0], 'objectSid')[0]),
    name: login === undefined || netbios === undefined ? null : `${netbios}\\${login}`,
    schema: schemaFrom(schema),
    account: accountFrom(plain[0]),
    admins: admins.map((entry) => entry.dn),
    domain: view,
  }
}

const SCHEMA_ATTRIBUTES = ['lDAPDisplayName', 'schemaIDGUID', 'searchFlags']
const guid = idCodecOf('objectGUID')

function schemaFrom(entries: readonly Entry[]): ActiveDirectoryProbe['schema'] {
  const found = new Map<string, { id: string; searchFlags: number }>()
  for (const entry of entries) {
    const name = textsOf(entry, 'lDAPDisplayName')[0]?.toLowerCase()
    const [value] = valuesIn(entry, 'schemaIDGUID')
    const id = value === undefined ? null : guid.decode(value)
    if (name === undefined || id === null) continue
    found.set(name, { id, searchFlags: Number(textsOf(entry, 'searchFlags')[0] ?? 0) })
  }
  return found
}

/** Constructed; without a value we may write nothing. */
function accountFrom(entry: Entry | undefined): ActiveDirectoryProbe['account'] {
  if (entry === undefined) return null
  const names = textsOf(entry, 'allowedAttributesEffective').map((name) => name.toLowerCase())
  return { dn: entry.dn, writable: new Set(names) }
}

function partitionsOf(contexts: readonly string[]): string {
  const configuration = contexts.find((each) => /^CN=Configuration,/i.test(each)) ?? ''
  return `CN=Partitions,${configuration}`
}

function isDomain(dn: string): Filter {
  return new EqualityFilter({ attribute: 'nCName', value: dn })
}

function named(attributes: readonly string[]): Filter {
  return new OrFilter({
    filters: attributes.map((value) => new EqualityFilter({ attribute: 'lDAPDisplayName', value })),
  })
}

function and(...filters: Filter[]): Filter {
  return new AndFilter({ filters })
}

/** Empty where it may not be read or is not there. @param filter null: the entry itself */
async function search(
  directory: LdapDirectory,
  base: string,
  filter: Filter | null,
  attributes: readonly string[],
  sizeMax: number,
): Promise<Entry[]> {
  const request = {
    base,
    scope: filter === null ? ('base' as const) : ('sub' as const),
    filter: filter ?? new PresenceFilter({ attribute: 'objectClass' }),
    attributes,
    bytesOf: ['objectSid', 'schemaIDGUID'],
    sizeMax,
  }
  try {
    return await directory.pool.read((connection) => connection.search(request))
  } catch (error) {
    if (error instanceof AppError && resultCodeOf(error.cause) !== null) return []
    throw error
  }
}
