import { differenceOfIdentity, isTelling, type DirectoryIdentity } from '../core/settings/directory-identity.ts'
import { AppError, toAppError } from '../core/error.ts'
import type { DirectorySettings, Settings } from '../core/settings/settings.ts'
import { identityAt } from '../directory/pool/identity.ts'
import type { IdentityPort } from '../ports/store/identity.ts'
import { nearest } from '../config/keys/nearest.ts'

/** The identities that the servers of a directory report, compared with the record (`lockstep directory`). */
export interface ServerIdentity {
  readonly url: string
  /** Null: it could not be read. */
  readonly identity: DirectoryIdentity | null
  readonly error: AppError | null
  /** Why it is another directory than the one on record; null: it is not, or none is on record. */
  readonly difference: string | null
}

export interface DirectoryServers {
  readonly directory: string
  readonly recorded: DirectoryIdentity | null
  readonly servers: readonly ServerIdentity[]
}

/** Never fails because of a server. */
export async function askServers(settings: DirectorySettings, identities: IdentityPort): Promise<DirectoryServers> {
  const recorded = await identities.known(settings.name)
  const ask = async (url: string): Promise<ServerIdentity> => {
    try {
      const identity = await identityAt(url, settings)
      return { url, identity, error: null, difference: differenceOfIdentity(recorded ?? identity, identity) }
    } catch (thrown) {
      return { url, identity: null, error: toAppError(thrown), difference: null }
    }
  }
  return { directory: settings.name, recorded, servers: await Promise.all(settings.urls.map(ask)) }
}

/**
 * Accepts the directory that answers now as the right one. Fails with `usage` (no such directory), `directory-changed`
 * (its servers are not one directory), and as the first server does where none answers.
 */
export async function acceptDirectory(
  settings: Settings,
  name: string,
  by: string,
  identities: IdentityPort,
  reason = '',
): Promise<DirectoryIdentity> {
  const directory = directoryCalled(settings, name)
  const { servers } = await askServers(directory, identities)
  const answers = servers.flatMap(({ url, identity }) => (identity === null ? [] : [{ url, identity }]))
  const [first, ...others] = answers
  if (first === undefined) throw servers[0]?.error ?? new AppError('config-invalid', `directory ${name}: urls is empty`)
  if (!isTelling(first.identity)) {
    throw new AppError('directory-refused', `directory ${name}: ${first.url} does not show what it is`, {
      hint: `Let the account that Lockstep binds as read ${directory.base} and its ${directory.idAttribute}.`,
    })
  }
  const itself = differenceOfIdentity(first.identity, first.identity)
  if (itself !== null) throw refused(name, `${first.url}: ${itself}`)
  for (const { url, identity } of others) {
    const difference = differenceOfIdentity(first.identity, identity)
    if (difference !== null)
      throw refused(name, `${first.url} and ${url} are not one directory; at the second, ${difference}`)
  }
  await identities.accept(directory.name, first.identity, by, reason)
  return first.identity
}

export function directoryCalled(settings: Settings, name: string): DirectorySettings {
  const found = settings.directories.find((each) => each.name === name)
  if (found !== undefined) return found
  const names = settings.directories.map((each) => each.name as string)
  const meant = nearest(name, names)
  throw new AppError('usage', `there is no directory ${name} in the configuration`, {
    hint: meant === null ? `There are: ${names.join(', ')}.` : `Is ${meant} meant?`,
  })
}

function refused(name: string, why: string): AppError {
  return new AppError('directory-changed', `directory ${name}: nothing was accepted: ${why}`, {
    hint: `Correct directories.${name}.urls or base: all of its servers have to hold the same entries.`,
  })
}
