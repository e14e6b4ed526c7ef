import { isDeepStrictEqual } from 'node:util'
import { AppError, toAppError, type ErrorCode } from '../../core/error.ts'
import type { DirectorySettings, Settings } from '../../core/settings/settings.ts'
import { openProbe } from '../../directory/probe/probe.ts'
import { systemClock } from '../../ports/clock.ts'
import { askServers } from '../../app/directory-servers.ts'
import type { System } from '../../app/system.ts'

/**
 * Tests a new configuration before it replaces the old one: besides its files (refuse-mistakes.ts) each directory and
 * privacyIDEA. A server that is down now is no reason to refuse where its section is unchanged.
 */

/** Failures that may end without an action. */
const MAY_PASS: readonly ErrorCode[] = [
  'directory-unreachable',
  'directory-timeout',
  'directory-busy',
  'source-unreachable',
  'source-timeout',
  'source-answer',
]
/** privacyIDEA answers, accepts the login, and shows no token. */
const NO_TOKENS: ErrorCode = 'source-unproven'

/**
 * Fails as a directory or privacyIDEA does. @returns servers that are down, with a section that the old configuration
 * has too
 */
export async function checkServers(system: System, running: Settings): Promise<string[]> {
  const { settings } = system
  const found = await Promise.all([
    ...settings.directories.map((directory) => {
      const before = running.directories.find(({ name }) => name === directory.name)
      return tolerated(() => reach(system, directory), isDeepStrictEqual(connectionOf(directory), connectionOf(before)))
    }),
    tolerated(() => reachSource(system), isDeepStrictEqual(settings.privacyidea, running.privacyidea)),
  ])
  return found.flatMap((why) => why ?? [])
}

/** Who is protected does not affect whether the server can be reached. */
function connectionOf(directory: DirectorySettings | undefined): unknown {
  return directory === undefined ? null : { ...directory, protect: null }
}

async function tolerated(look: () => Promise<void>, isAsBefore: boolean): Promise<string | null> {
  try {
    await look()
    return null
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code === NO_TOKENS || (isAsBefore && MAY_PASS.includes(error.code))) return error.message
    throw error
  }
}

/** One server that accepts the bind and shows the base is enough. Its connections are then open for the work. */
async function reach({ store, directory }: System, settings: DirectorySettings): Promise<void> {
  const { servers } = await askServers(settings, store.identities)
  const good = servers.find(({ identity, difference }) => identity !== null && difference === null)
  if (good === undefined) throw whyNone(settings, servers)
  if (!(await showsBase(settings))) {
    const hint = `Correct directories.${settings.name}.base, or give the right to read it; lockstep doctor shows more.`
    throw new AppError(
      'config-invalid',
      `directory ${settings.name}: ${settings.bindDn} sees no entry ${settings.base}`,
      { hint },
    )
  }
  await directory.lookAtServers(settings.name)
}

async function showsBase(settings: DirectorySettings): Promise<boolean> {
  await using probe = openProbe(settings, systemClock)
  return await probe.hasBase()
}

function whyNone({ name }: DirectorySettings, servers: Awaited<ReturnType<typeof askServers>>['servers']): AppError {
  const other = servers.find(({ difference }) => difference !== null)
  if (other !== undefined) {
    const message = `directory ${name}: another directory answers at ${other.url} than the one on record: ${other.difference}`
    return new AppError('directory-changed', message, {
      hint: `Correct its URL; if it is meant to be this one from now on: lockstep directory accept ${name}`,
    })
  }
  return servers[0]?.error ?? new AppError('config-invalid', `directory ${name}: urls is empty`)
}

async function reachSource({ source }: System): Promise<void> {
  if (source !== null) await source.source.proveTokenList()
}
