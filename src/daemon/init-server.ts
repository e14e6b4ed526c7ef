import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '../config/load.ts'
import { AppError, toAppError } from '../core/error.ts'
import type { DirectorySettings, Settings } from '../core/settings.ts'
import { readRoot } from '../directory/anonymous.ts'
import { openProbe } from '../directory/probe.ts'
import type { RootFacts } from '../directory/server-facts.ts'
import { systemClock } from '../ports/clock.ts'

/** What `lockstep init` asks the server, before and after it knows the account to bind as. */

export interface ServerAddress {
  readonly urls: readonly string[]
  readonly startTls: 'required' | 'off'
  /** Absolute, or null. */
  readonly ca: string | null
}

export interface FirstFacts {
  readonly url: string
  readonly vendor: string
  readonly namingContexts: readonly string[]
}

/** A control that Active Directory and Samba offer and no other (MS-ADTS 3.1.1.3.4.1.11). */
const SECURITY_DESCRIPTOR_FLAGS_OID = '1.2.840.113556.1.4.801'

/**
 * Reads the root DSE without a bind, from the first server that answers. Fails with `config-invalid` (a bad URL, or
 * another kind of server than OpenLDAP), `directory-unreachable`, `directory-timeout`, `directory-tls`.
 */
export async function askServer(address: ServerAddress): Promise<FirstFacts> {
  const settings = settingsFor(address)
  let failure: unknown
  for (const url of settings.urls) {
    try {
      const facts = await readRoot(url, settings)
      refuseOtherKinds(url, facts)
      return { url, vendor: facts.vendor || 'an LDAP server', namingContexts: facts.namingContexts }
    } catch (error) {
      failure ??= error
    }
  }
  throw toAppError(failure)
}

/** The rules for URLs and files are those of the configuration. */
function settingsFor({ urls, startTls, ca }: ServerAddress): DirectorySettings {
  const directory = { type: 'openldap', urls, startTls, ca, bindDn: 'cn=x', bindPasswordEnv: 'X', base: 'dc=x' }
  const text = JSON.stringify({ directories: { main: directory } })
  const [settings] = parseConfig(text, 'the answers').settings.directories
  if (settings === undefined) throw new AppError('internal', 'a configuration without a directory passed the checks')
  return settings
}

function refuseOtherKinds(url: string, facts: RootFacts): void {
  const isActiveDirectory = facts.controls?.includes(SECURITY_DESCRIPTOR_FLAGS_OID) === true
  if (!isActiveDirectory && !/389|red hat|fedora/i.test(facts.vendor)) return
  const kind = isActiveDirectory ? 'an Active Directory' : facts.vendor
  throw new AppError('config-invalid', `the server at ${url} is ${kind}, which is not in this version yet`, {
    hint: 'Name an OpenLDAP server, or write a directory of type custom by hand (docs/configuration.md).',
  })
}

/**
 * Binds with the password and looks for the base. Fails with what binding fails with at the first server where none
 * can be bound to, and with `config-invalid` when the base is not there.
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
    hint: 'Check the base, and that the account may read it (docs/openldap.md).',
  })
}
