import { foreignLockOf } from '../core/mirror.ts'
import type { MirrorPolicy } from '../core/settings.ts'
import { NOTHING_OF_OURS, type ObservedState } from '../core/state.ts'
import type { DirectoryPort } from '../ports/directory.ts'
import type { MirrorPort } from '../ports/mirror.ts'
import type { TruthPort } from '../ports/store.ts'

/**
 * Finds the locks in the directories that are not ours and were not mirrored yet, and marks their accounts: whoever looks
 * at one decides. Accounts that are not on record have no token, and nothing to lock in privacyIDEA.
 */
export interface ForeignLockPorts {
  readonly directory: Pick<DirectoryPort, 'names' | 'walkLocked'>
  readonly mirrored: Pick<MirrorPort, 'standingOf'>
  readonly truth: Pick<TruthPort, 'hintKeys'>
  readonly mode: MirrorPolicy
}

const ACCOUNTS_AT_ONCE = 200

/** Fails with `directory-*`. @returns how many accounts were marked */
export async function markForeignLocks(ports: ForeignLockPorts): Promise<number> {
  if (ports.mode === 'off') return 0
  let marked = 0
  for (const name of ports.directory.names()) {
    let page: ObservedState[] = []
    for await (const observed of ports.directory.walkLocked(name)) {
      page.push(observed)
      if (page.length < ACCOUNTS_AT_ONCE) continue
      marked += await markPage(page, ports)
      page = []
    }
    marked += await markPage(page, ports)
  }
  return marked
}

async function markPage(page: readonly ObservedState[], { mirrored, truth }: ForeignLockPorts): Promise<number> {
  if (page.length === 0) return 0
  const standing = await mirrored.standingOf(page.map(({ key }) => key))
  const keys = page.flatMap((observed) => {
    const known = standing.get(observed.key)
    if (known === undefined || known.isMirrored || known.isOurs) return []
    return observed.protectedBy === null && foreignLockOf(observed, NOTHING_OF_OURS) !== null ? [observed.key] : []
  })
  if (keys.length > 0) await truth.hintKeys(keys)
  return keys.length
}
