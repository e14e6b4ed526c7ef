import { EqualityFilter, PresenceFilter, type Filter } from 'ldapts'
import { AppError, toAppError } from '../../core/error.ts'
import {
  accountKey,
  parseAccountId,
  parseSerial,
  type AccountId,
  type AccountKey,
  type Login,
  type Realm,
} from '../../core/names.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { ObservedState } from '../../core/account/state.ts'
import type { Clock } from '../../ports/clock.ts'
import type { FoundAccount } from '../../ports/directory.ts'
import { bindAs } from '../pool/anonymous.ts'
import { Connection } from '../ldap/connection.ts'
import { idFilter, serialFilter } from '../accounts/directory-searches.ts'
import { normalDn } from '../../core/dn.ts'
import { probeLimits, probeRights, type LimitsProbe, type RightsProbe } from './effective-rights.ts'
import { compileFilter } from '../protocol/filter.ts'
import { LdapDirectory } from '../ldap-directory.ts'
import type { OwnAccount } from '../protection/own-account.ts'
import { readLockoutPolicies } from '../drivers/freeipa.ts'
import { readPolicies, type PolicyView } from '../drivers/openldap.ts'
import { probeSearchLimit, type SearchLimitProbe } from './search-limit.ts'
import { tryCycle, type CycleProbe } from './probe-cycle.ts'
import { textsOf } from '../protocol/entry.ts'
import { namingContextOf, type ServerFacts } from '../pool/server-facts.ts'
import { serverOf } from '../ldap/socket.ts'
import { probeActiveDirectory, type ActiveDirectoryProbe } from './active-directory-probe.ts'

/** One URL of the configuration: reached, secured and bound, or why not. */
export interface ServerProbe {
  readonly url: string
  readonly security: 'tls' | 'start-tls' | 'plain'
  readonly tookMs: number
  /** Our identity as the server reports it, as in `dn:cn=lockstep,…`; null when it failed or is not reported. */
  readonly identity: string | null
  readonly error: AppError | null
}

/** An attribute of the configuration, as the schema has it. */
export interface AttributeProbe {
  readonly key: 'idAttribute' | 'serialAttribute' | 'loginAttribute' | 'lock'
  readonly attribute: string
  /** Null: the schema may not be read. */
  readonly isKnown: boolean | null
  readonly isSingleValued: boolean
}

/** A search that Lockstep makes all the time, and whether an index supports it. */
export interface IndexProbe {
  readonly attribute: string
  /** By cn=config (slapd-config(5), olcDbIndex), where that may be read; else only `tookMs` is known. */
  readonly hasIndex: boolean | null
  /** How long a search without a result took. */
  readonly tookMs: number
}

/** What a doctor checks of one directory. Each method fails with the reason why it found nothing out. */
export interface DirectoryProbe extends AsyncDisposable {
  servers(): Promise<readonly ServerProbe[]>
  facts(): Promise<ServerFacts>
  /** True when the base is there; false when it is not, or may not be seen. */
  hasBase(): Promise<boolean>
  attributes(): Promise<readonly AttributeProbe[]>
  /** Fails with `unknown-user`, `ambiguous-match`; `observed` has the lock, its effect and protection. */
  login(login: Login, realm: Realm | null): Promise<{ account: FoundAccount; observed: ObservedState }>
  /** For OpenLDAP: the password policies. */
  policies(): Promise<PolicyView>
  /** @param password the account's own, to check that a bind is refused; null: not checked */
  cycle(key: AccountKey, password: string | null): Promise<CycleProbe>
  indexes(): Promise<readonly IndexProbe[]>
  /** Our rights on one account. Null: the server does not report them, or no account is found. */
  rights(attributes: readonly string[]): Promise<RightsProbe | null>
  /** Asks for one entry more than the limits that servers have by default. */
  searchLimit(): Promise<SearchLimitProbe>
  /** For 389-DS: the limits of our searches. */
  limits(): Promise<readonly LimitsProbe[]>
  /** For FreeIPA: how many lockout policies can be read. */
  lockoutPolicies(): Promise<number>
  /** For Active Directory alone. @param attributes those that are written */
  activeDirectory(attributes: readonly string[]): Promise<ActiveDirectoryProbe>
  /** Null where the configuration has the DN of the account that we bind as. */
  ownAccount(): Promise<OwnAccount | null>
  /** How many protected groups are configured, and why one of them cannot be read. */
  protectedGroups(): Promise<{ readonly count: number; readonly unread: AppError | null }>
}

export function openProbe(settings: DirectorySettings, clock: Clock): DirectoryProbe {
  const directory = new LdapDirectory(settings, clock)
  const url = settings.urls[0] ?? ''
  return {
    servers: () => Promise.all(settings.urls.map((each) => probeServer(each, settings))),
    facts: async () => (await directory.reader()).facts,
    hasBase: () => hasBase(directory),
    attributes: () => probeAttributes(directory),
    login: async (login, realm) => {
      const account = await directory.findByLogin(login, realm)
      return { account, observed: await directory.observe(account.key, [], 0) }
    },
    policies: async () => readPolicies(directory.pool, settings, (await directory.reader()).facts),
    cycle: (key, password) => {
      const bind = password === null ? null : (dn: string) => bindAs(url, settings, dn, password)
      return tryCycle(directory, key, bind)
    },
    indexes: () => probeIndexes(directory),
    rights: async (attributes) => {
      const { facts } = await directory.reader()
      const anybody = compileFilter(settings.userFilter.replace(/\{(?:login|realm)\}/g, '*'), 'userFilter')({})
      return probeRights(directory.pool, settings, facts, anybody, attributes)
    },
    searchLimit: () => probeSearchLimit(directory),
    limits: () => probeLimits(directory.pool, settings),
    lockoutPolicies: async () =>
      (await readLockoutPolicies(directory.pool, settings, (await directory.reader()).facts)).size,
    activeDirectory: (attributes) => probeActiveDirectory(directory, attributes),
    ownAccount: async () => directory.protection.ownAccount((await directory.reader()).facts),
    protectedGroups: async () => {
      const unread = await directory.protection.unreadGroup((await directory.reader()).facts)
      return { count: settings.protect.groups.length, unread }
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

async function probeServer(url: string, settings: DirectorySettings): Promise<ServerProbe> {
  const startedMs = performance.now()
  const { security } = serverOf(url, settings)
  const probed = (identity: string | null, error: AppError | null): ServerProbe => {
    return { url, security, tookMs: performance.now() - startedMs, identity, error }
  }
  try {
    const connection = await Connection.open(serverOf(url, settings), settings)
    const { identity } = connection
    await connection.close()
    return probed(identity, null)
  } catch (error) {
    return probed(null, toAppError(error))
  }
}

async function hasBase(directory: LdapDirectory): Promise<boolean> {
  const filter = new PresenceFilter({ attribute: 'objectClass' })
  const request = {
    base: directory.settings.base,
    scope: 'base' as const,
    filter,
    attributes: ['1.1'],
    bytesOf: [],
    sizeMax: 1,
  }
  try {
    return (await directory.pool.read((connection) => connection.search(request))).length > 0
  } catch (error) {
    if (error instanceof AppError && error.code === 'entry-not-found') return false
    throw error
  }
}

async function probeAttributes(directory: LdapDirectory): Promise<AttributeProbe[]> {
  const { facts } = await directory.reader()
  const { settings } = directory
  const probed = (key: AttributeProbe['key'], attribute: string): AttributeProbe => {
    return { key, attribute, isKnown: facts.isKnown(attribute), isSingleValued: facts.isSingleValued(attribute) }
  }
  return [
    probed('idAttribute', settings.idAttribute),
    probed('serialAttribute', settings.serialAttribute),
    probed('loginAttribute', settings.loginAttribute),
    ...directory.driver.lockAttributes.map((attribute) => probed('lock', attribute)),
  ]
}

const NOBODYS_SERIAL = parseSerial('LOCKSTEP-NOBODYS-SERIAL')
const NOBODYS_ID = 'ffffffff-ffff-4fff-bfff-ffffffffffff'

async function probeIndexes(directory: LdapDirectory): Promise<IndexProbe[]> {
  const reader = await directory.reader()
  const { serialAttribute, loginAttribute } = directory.settings
  const indexed = await indexedAttributes(directory, reader.facts)
  const id = parseAccountId(NOBODYS_ID)
  const searches: [string, Filter][] = [
    ...(id === null ? [] : [byId(directory.settings, id)]),
    [loginAttribute, new EqualityFilter({ attribute: loginAttribute, value: NOBODYS_ID })],
  ]
  if (NOBODYS_SERIAL !== null)
    searches.push([serialAttribute, serialFilter(directory.settings, reader, NOBODYS_SERIAL)])
  const probes: IndexProbe[] = []
  for (const [attribute, filter] of searches) {
    const request = {
      base: directory.settings.base,
      scope: 'sub' as const,
      filter,
      attributes: ['1.1'],
      bytesOf: [],
      sizeMax: 1,
    }
    const startedMs = performance.now()
    await directory.pool.read((connection) => connection.search(request))
    const hasIndex = indexed === null ? null : indexed.has(reader.facts.canonical(attribute).toLowerCase())
    probes.push({ attribute, hasIndex, tookMs: performance.now() - startedMs })
  }
  return probes
}

function byId(settings: DirectorySettings, id: AccountId): [string, Filter] {
  return [settings.idAttribute, idFilter(settings, accountKey(settings.name, id))]
}

/** Attributes with an index of any kind in the base's database; null where cn=config may not be read. */
async function indexedAttributes(directory: LdapDirectory, facts: ServerFacts): Promise<Set<string> | null> {
  const context = namingContextOf(facts, directory.settings.base)
  const filter = new PresenceFilter({ attribute: 'olcSuffix' })
  const request = {
    base: 'cn=config',
    scope: 'sub' as const,
    filter,
    attributes: ['olcSuffix', 'olcDbIndex'],
    bytesOf: [],
    sizeMax: 0,
  }
  const databases = await directory.pool
    .read((connection) => connection.search(request))
    .catch((error: unknown) => {
      if (error instanceof AppError && error.code !== 'directory-unreachable') return []
      throw error
    })
  const own = databases.find((entry) => {
    return context !== null && textsOf(entry, 'olcSuffix').some((suffix) => normalDn(suffix) === normalDn(context))
  })
  if (own === undefined) return null
  const names = textsOf(own, 'olcDbIndex').flatMap((line) =>
    (line.replace(/^\{\d+\}/, '').split(/\s+/)[0] ?? '').split(','),
  )
  return new Set(names.map((name) => facts.canonical(name).toLowerCase()))
}
