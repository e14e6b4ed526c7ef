import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, PresenceFilter, type Entry } from 'ldapts'
import { parseConfig } from '../config/load.ts'
import { AppError, toAppError } from '../core/error.ts'
import type { DirectorySettings, Settings } from '../core/settings.ts'
import { Connection } from '../directory/connection.ts'
import { textsOf } from '../directory/server-facts.ts'
import { openSocket, serverOf } from '../directory/socket.ts'

/** What `lockstep init` asks the server, before and after it knows the account to bind as. */

export interface ServerAddress {
  readonly urls: readonly string[]
  readonly startTls: 'required' | 'off'
  /** Absolute, or null. */
  readonly ca: string | null
}

/** What a server says of itself to anybody (RFC 4512, 5.1). */
export interface FirstFacts {
  readonly url: string
  readonly vendor: string
  readonly namingContexts: readonly string[]
}

/** The capability that Active Directory names itself by (MS-ADTS 3.1.1.3.4.3). */
const ACTIVE_DIRECTORY_OID = '1.2.840.113556.1.4.800'
const ROOT_ATTRIBUTES = ['vendorName', 'vendorVersion', 'objectClass', 'namingContexts', 'supportedCapabilities']

/**
 * Reads the root DSE without a bind, from the first server that answers. Fails with `config-invalid` (a bad URL, or another kind of
 * server than OpenLDAP), `directory-unreachable`, `directory-timeout`, `directory-tls`.
 */
export async function askServer(address: ServerAddress): Promise<FirstFacts> {
  const settings = settingsFor(address)
  const { url, result: root } = await atFirst(settings.urls, (each) => readRoot(settings, each))
  const vendor = vendorOf(root)
  if (vendor.supported) return { url, vendor: vendor.name, namingContexts: textsOf(root, 'namingContexts') }
  throw new AppError('config-invalid', `the server at ${url} is ${vendor.name}, which is not in this version yet`, {
    hint: 'Name an OpenLDAP server, or write a directory of type custom by hand (docs/configuration.md).',
  })
}

/** The first server that can be worked with; where there is none, the first one's error. */
async function atFirst<Result>(
  urls: readonly string[],
  work: (url: string) => Promise<Result>,
): Promise<{ url: string; result: Result }> {
  let failure: unknown
  for (const url of urls) {
    try {
      return { url, result: await work(url) }
    } catch (error) {
      failure ??= error
    }
  }
  throw toAppError(failure)
}

/** The rules for URLs and files are those of the configuration. */
function settingsFor({ urls, startTls, ca }: ServerAddress): DirectorySettings {
  const directory = { type: 'openldap', urls, startTls, ca, bindDn: 'cn=x', bindPasswordEnv: 'X', base: 'dc=x' }
  const [settings] = parseConfig(JSON.stringify({ directories: { main: directory } }), 'the answers').settings
    .directories
  if (settings === undefined) throw new AppError('internal', 'a configuration without a directory passed the checks')
  return settings
}

async function readRoot(settings: DirectorySettings, url: string): Promise<Entry | null> {
  const socket = await openSocket(serverOf(url, settings), settings)
  const client = new Client({
    url: 'ldap://handed.over',
    timeout: settings.operationTimeoutMs,
    createConnection: () => socket,
  })
  try {
    const { searchEntries } = await client.search('', {
      scope: 'base',
      filter: '(objectClass=*)',
      attributes: ROOT_ATTRIBUTES,
    })
    return searchEntries[0] ?? null
  } catch (cause) {
    throw new AppError('directory-unreachable', `${url} does not answer as an LDAP server`, {
      hint: 'Check the host and the port: usually ldap:// is 389 and ldaps:// is 636.',
      cause,
    })
  } finally {
    socket.destroy()
  }
}

function vendorOf(root: Entry | null): { name: string; supported: boolean } {
  if (textsOf(root, 'supportedCapabilities').includes(ACTIVE_DIRECTORY_OID))
    return { name: 'Active Directory', supported: false }
  const told = textsOf(root, 'vendorName').join(' ')
  if (/389|Red Hat|Fedora/i.test(told)) return { name: told, supported: false }
  const isOpenldap = textsOf(root, 'objectClass').some((name) => /^OpenLDAProotDSE$/i.test(name))
  return { name: isOpenldap ? 'OpenLDAP' : told || 'an LDAP server', supported: true }
}

/**
 * Binds with the password and looks for the base. Fails with what Connection.open fails with, and `config-invalid` when
 * the base is not there.
 */
export async function tryBind(settings: Settings, password: string): Promise<void> {
  const [directory] = settings.directories
  if (directory === undefined) throw new AppError('internal', 'no directory to bind to')
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-init-'))
  try {
    const file = join(folder, 'password')
    await writeFile(file, password, { mode: 0o600 })
    const withPassword = { ...directory, bindPassword: { file } }
    const { result: connection } = await atFirst(directory.urls, (url) =>
      Connection.open(serverOf(url, directory), withPassword),
    )
    try {
      await findBase(connection, directory)
    } finally {
      await connection.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function findBase(connection: Connection, { base, bindDn }: DirectorySettings): Promise<void> {
  const request = {
    base,
    scope: 'base' as const,
    filter: new PresenceFilter({ attribute: 'objectClass' }),
    attributes: ['1.1'],
    bytesOf: [],
    sizeMax: 1,
  }
  const found = await connection.search(request).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'entry-not-found') return []
    throw error
  })
  if (found.length > 0) return
  throw new AppError('config-invalid', `${bindDn} sees no entry ${base}`, {
    hint: 'Check the base, and that the account may read it (docs/openldap.md).',
  })
}
