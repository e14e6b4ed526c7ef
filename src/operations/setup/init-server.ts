import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '../../config/load.ts'
import { DIRECTORY_TYPES, TYPE_TRAITS, USUAL_TYPE, type DirectoryType } from '../../core/settings/directory-type.ts'
import { AppError, toAppError } from '../../core/error.ts'
import type { DirectorySettings, Settings } from '../../core/settings/settings.ts'
import { isSeen, readRoot } from '../../directory/pool/anonymous.ts'
import { normalDn } from '../../core/dn.ts'
import { openProbe } from '../../directory/probe/probe.ts'
import type { RootFacts } from '../../directory/pool/server-facts.ts'
import { namedSwap } from '../../directory/pool/swapped-port.ts'
import { systemClock } from '../../ports/clock.ts'

/** The requests of `lockstep init` to the server, before and after the account to bind as is known. */

export interface ServerAddress {
  readonly urls: readonly string[]
  readonly startTls: 'required' | 'off'
  /** Absolute, or null. */
  readonly ca: string | null
}

export interface FirstFacts {
  readonly url: string
  readonly type: DirectoryType
  readonly vendor: string
  readonly namingContexts: readonly string[]
  /** The usual base of the accounts; null where the server names no context. */
  readonly usualBase: string | null
  /** No other context holds accounts. */
  readonly isBaseCertain: boolean
}

/** Where FreeIPA keeps its users, and the context of its certification authority. */
const IPA_USERS = 'cn=users,cn=accounts'
const IPA_CA = 'o=ipaca'
/** Contexts of Active Directory beside that of the domain. */
const NO_ACCOUNTS = /^(?:CN=Configuration|CN=Schema|DC=DomainDnsZones|DC=ForestDnsZones),/i

/** A control that only Active Directory and Samba offer (MS-ADTS 3.1.1.3.4.1.11). */
const SECURITY_DESCRIPTOR_FLAGS_OID = '1.2.840.113556.1.4.801'

/**
 * Reads the root DSE without a bind, from the first server that answers.
 * Fails with `config-invalid` (a bad URL, or another kind of server than `type`), `directory-unreachable`,
 * `directory-timeout`, `directory-tls`.
 * @param type null: as the server reports
 */
export async function askServer(address: ServerAddress, type: DirectoryType | null): Promise<FirstFacts> {
  const settings = settingsFor(address)
  let failure: unknown
  for (const url of settings.urls) {
    try {
      const facts = await readRoot(url, settings)
      const found = await kindOf(url, settings, facts)
      refuseAnotherKind(url, found, type)
      return {
        url,
        type: type ?? found.type,
        vendor: facts.vendor || 'an LDAP server',
        namingContexts: facts.namingContexts,
        ...usualBase(type ?? found.type, facts),
      }
    } catch (error) {
      failure ??= await namedSwap(toAppError(error), url, settings)
    }
  }
  throw toAppError(failure)
}

/** The rules for URLs and files are those of the configuration. */
function settingsFor({ urls, startTls, ca }: ServerAddress): DirectorySettings {
  const directory = { type: USUAL_TYPE, urls, startTls, ca, bindDn: 'cn=x', bindPasswordEnv: 'X', base: 'dc=x' }
  const text = JSON.stringify({ directories: { main: directory } })
  const [settings] = parseConfig(text, 'the answers').settings.directories
  if (settings === undefined) throw new AppError('internal', 'a configuration without a directory passed the checks')
  return settings
}

/** What a server shows of itself without a bind. */
interface Signs {
  readonly offersDescriptorFlags: boolean
  /** By the name that its maker gave it. */
  readonly isFromDs389: boolean
  readonly hasIpa: boolean
}

/** How a type is recognized, and where its accounts lie. */
interface Recognition {
  /** `may-be`: the server shows nothing that distinguishes this type from another one. */
  readonly by: (signs: Signs) => 'is' | 'may-be' | 'is-not'
  /** The container of the accounts in their naming context; '': none that is the same everywhere. */
  readonly usersBelow: string
  /** Contexts besides the first are the server's own. */
  readonly hasOneContext: boolean
}

/** At most one type `is` the one for any signs. */
const RECOGNIZED: Readonly<Record<DirectoryType, Recognition>> = {
  openldap: { by: () => 'may-be', usersBelow: '', hasOneContext: false },
  'active-directory': {
    by: ({ offersDescriptorFlags }) => (offersDescriptorFlags ? 'is' : 'is-not'),
    usersBelow: '',
    hasOneContext: true,
  },
  '389ds': {
    by: ({ offersDescriptorFlags, isFromDs389, hasIpa }) =>
      !offersDescriptorFlags && isFromDs389 && !hasIpa ? 'is' : 'is-not',
    usersBelow: '',
    hasOneContext: false,
  },
  freeipa: {
    by: ({ offersDescriptorFlags, isFromDs389, hasIpa }) =>
      !offersDescriptorFlags && isFromDs389 && hasIpa ? 'is' : 'is-not',
    usersBelow: IPA_USERS,
    hasOneContext: true,
  },
  // No server is one: it is the configuration that says how accounts are locked.
  custom: { by: () => 'is-not', usersBelow: '', hasOneContext: false },
}

interface Kind {
  readonly type: DirectoryType
  /** False where the server shows nothing that distinguishes kinds. */
  readonly isCertain: boolean
}

async function kindOf(url: string, settings: DirectorySettings, facts: RootFacts): Promise<Kind> {
  const signs = await signsOf(url, settings, facts)
  const type = DIRECTORY_TYPES.find((each) => RECOGNIZED[each].by(signs) === 'is')
  if (type !== undefined) return { type, isCertain: true }
  return {
    type: DIRECTORY_TYPES.find((each) => RECOGNIZED[each].by(signs) === 'may-be') ?? USUAL_TYPE,
    isCertain: false,
  }
}

async function signsOf(url: string, settings: DirectorySettings, facts: RootFacts): Promise<Signs> {
  const offersDescriptorFlags = facts.controls?.includes(SECURITY_DESCRIPTOR_FLAGS_OID) === true
  const isFromDs389 = /389|red hat|fedora/i.test(facts.vendor)
  if (offersDescriptorFlags || !isFromDs389) return { offersDescriptorFlags, isFromDs389, hasIpa: false }
  const users = facts.namingContexts.map((context) => `${IPA_USERS},${context}`)
  const seen = await Promise.all(users.map((dn) => isSeen(url, settings, dn)))
  const hasIpa = seen.includes(true) || facts.namingContexts.some((context) => normalDn(context) === IPA_CA)
  return { offersDescriptorFlags, isFromDs389, hasIpa }
}

/** FreeIPA is a 389-DS, and may hide from anonymous clients that it is FreeIPA. */
function refuseAnotherKind(url: string, found: Kind, wanted: DirectoryType | null): void {
  if (wanted === null || !found.isCertain || TYPE_TRAITS[found.type].lockAsOf === TYPE_TRAITS[wanted].lockAsOf) return
  throw new AppError('config-invalid', `the server at ${url} is of type ${found.type}, not ${wanted}`, {
    hint: `Leave --type out, or give --type ${found.type}.`,
  })
}

/** The base of the accounts, where one context holds them. */
function usualBase(
  type: DirectoryType,
  { namingContexts }: RootFacts,
): Pick<FirstFacts, 'usualBase' | 'isBaseCertain'> {
  const { usersBelow, hasOneContext } = RECOGNIZED[type]
  const isBaseCertain = namingContexts.length === 1 || hasOneContext
  const [first] = namingContexts.filter((context) => normalDn(context) !== IPA_CA && !NO_ACCOUNTS.test(context))
  if (first === undefined) return { usualBase: null, isBaseCertain }
  return { usualBase: usersBelow === '' ? first : `${usersBelow},${first}`, isBaseCertain }
}

/**
 * Binds with the password and searches for the base. Where no bind succeeds, fails as binding to the first server does;
 * fails with `config-invalid` when the base is not there.
 */
export async function tryBind(settings: Settings, password: string): Promise<void> {
  const [directory] = settings.directories
  if (directory === undefined) throw new AppError('internal', 'no directory to bind to')
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-init-'))
  try {
    const file = join(folder, 'password')
    await writeFile(file, password, { mode: 0o600 })
    await using probe = openProbe({ ...directory, bindPassword: { file } }, systemClock)
    const servers = await probe.servers()
    const failure = servers[0]?.error
    if (failure !== undefined && failure !== null && servers.every((server) => server.error !== null)) throw failure
    if (await probe.hasBase()) return
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  throw new AppError('config-invalid', `${directory.bindDn} sees no entry ${directory.base}`, {
    hint: `Check the base, and that the account may read it (${TYPE_TRAITS[directory.type].page}).`,
  })
}
