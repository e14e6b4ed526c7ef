import type { DirectorySettings, Settings } from '../../core/settings/settings.ts'
import { askServers } from '../../app/directory-servers.ts'
import { troubleOf, type Findings } from './findings.ts'
import { whyNoStore, openStoreOf } from '../../app/state-store.ts'

/** Whether the servers of a directory are the one on record. A command that only reads creates no store. */
export async function checkIdentity(found: Findings, settings: Settings, directory: DirectorySettings): Promise<void> {
  const missing = whyNoStore(settings)
  if (missing !== null) return notCompared(found, missing)
  try {
    await using store = await openStoreOf(settings, false)
    const { recorded, servers } = await askServers(directory, store.identities)
    const others = servers.filter(({ difference }) => difference !== null)
    for (const { url, difference } of others) {
      found.fail('identity', {
        what: `another directory answers at ${url} than the one on record: ${difference}`,
        why: 'Nothing is read from it or written to it, so that accounts of another directory stay as they are.',
        fix: `Correct its URL; if it is meant to be this one from now on: lockstep directory accept ${directory.name}`,
        code: 'directory-changed',
      })
    }
    const isKnown = recorded !== null && servers.some(({ identity }) => identity !== null)
    if (isKnown && others.length === 0) found.ok('identity', 'it is the directory that is on record')
    else if (recorded === null) notCompared(found, 'none is on record here')
  } catch (thrown) {
    found.warn(
      'identity',
      troubleOf(thrown, 'Whether it is the directory that Lockstep has worked with was not looked at.'),
    )
  }
}

function notCompared(found: Findings, cause: string): void {
  found.skip('identity', {
    what: `whether it is the directory of before: not compared, since ${cause}`,
    why: 'A server that was set up anew, or another one, is refused once one is on record.',
    fix: 'After the first start, as root or as the user of the service: lockstep doctor',
  })
}
