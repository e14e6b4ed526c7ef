import { inGroups } from '../../core/ahead.ts'
import { toAppError } from '../../core/error.ts'
import type { DirectoryName } from '../../core/names.ts'
import type { MirrorPolicy } from '../../core/settings/settings.ts'
import type { ObservedState } from '../../core/account/state.ts'
import type { DirectoryPort } from '../../ports/directory.ts'
import type { MirrorPort } from '../../ports/store/mirror.ts'
import type { SnapshotPort } from '../../ports/store/store.ts'
import type { LeftAlone } from '../source/resync-ports.ts'
import { otherLockOf } from '../../core/account/slot.ts'

/**
 * Finds the locks in the directories that are not ours and were not mirrored yet, beside ours too, and marks their
 * accounts: the turn of each account decides. Accounts that are not on record have no token, and nothing to lock in
 * privacyIDEA.
 */
export interface ForeignLockPorts {
  readonly directory: Pick<DirectoryPort, 'names' | 'walkLocked'>
  readonly mirrored: Pick<MirrorPort, 'statusOf'>
  readonly snapshots: Pick<SnapshotPort, 'markKeysForRefresh'>
  readonly mode: MirrorPolicy
}

const ACCOUNTS_AT_ONCE = 200

export interface ForeignLocksReport {
  /** How many accounts were marked. */
  readonly marked: number
  /** Directories that could not be walked to the end. */
  readonly left: readonly LeftAlone[]
}

/** A directory that does not answer does not affect the others. */
export async function markForeignLocks(ports: ForeignLockPorts): Promise<ForeignLocksReport> {
  let marked = 0
  const left: LeftAlone[] = []
  if (ports.mode === 'off') return { marked, left }
  for (const directory of ports.directory.names()) {
    try {
      for await (const count of markedIn(directory, ports)) marked += count
    } catch (thrown) {
      const { code, message } = toAppError(thrown)
      if (!code.startsWith('directory-')) throw thrown
      left.push({ directory, code, reason: message })
    }
  }
  return { marked, left }
}

async function* markedIn(name: DirectoryName, ports: ForeignLockPorts): AsyncGenerator<number> {
  for await (const page of inGroups(ports.directory.walkLocked(name), ACCOUNTS_AT_ONCE)) {
    yield await markPage(page, ports)
  }
}

async function markPage(
  page: readonly ObservedState[],
  { mirrored, snapshots: snapshot }: ForeignLockPorts,
): Promise<number> {
  if (page.length === 0) return 0
  const status = await mirrored.statusOf(page.map(({ key }) => key))
  const keys = page.flatMap((observed) => {
    const known = status.get(observed.key)
    if (known === undefined || known.isMirrored || observed.protectedBy !== null) return []
    const other = otherLockOf(observed.lock, known.isOurs)
    if (other === null) return []
    // What cannot be judged is reported after its first turn, and needs no further one.
    return other.is === 'locked' || !known.isUnclear ? [observed.key] : []
  })
  if (keys.length > 0) await snapshot.markKeysForRefresh(keys)
  return keys.length
}
