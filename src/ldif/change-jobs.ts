import type { Change, ChangeKind, EntryModification } from '../core/account/change.ts'
import { headerOf, utcStamp, writeChangeLdif } from '../core/ldif.ts'
import type { DiskJob, DiskStep, FileOwner } from './disk-job.ts'
import type { WaitingFolder } from './layout.ts'

/** The disk steps for each step in the life of a change. Pure; the same change gives the same files. */

export function prepareJob(change: Change): DiskJob {
  const stamp = utcStamp(change.plannedAtMs)
  switch (change.kind) {
    case 'lock': {
      const forward = textOf(change, 'lock', change.forward)
      return forEach(change, (name) => [
        {
          kind: 'put-waiting',
          folder: 'unlock',
          name,
          account: change.key,
          stamp,
          text: textOf(change, 'unlock', change.inverse, name),
        },
        { kind: 'put-forward', name, text: forward },
      ])
    }
    case 'register': {
      const forward = textOf(change, 'register', change.forward)
      const text = textOf(change, 'unregister', change.inverse)
      return forEach(change, (name) => [
        { kind: 'put-waiting', folder: 'unregister', name, account: change.key, stamp, text },
        { kind: 'put-history', folder: 'register/history', name, stamp, text: forward },
      ])
    }
    case 'unlock':
    case 'unregister': {
      const { kind: folder, key: account } = change
      return forEach(change, (name) => [
        { kind: 'keep-waiting', folder, name, account, stamp, text: textOf(change, folder, change.forward, name) },
      ])
    }
  }
}

export function appliedJob(change: Change): DiskJob {
  const stamp = utcStamp(change.plannedAtMs)
  switch (change.kind) {
    case 'lock':
      return forEach(change, (name) => [{ kind: 'to-history', folder: 'lock', name, stamp, owner: ownerOf(change) }])
    case 'register':
      return { steps: [] }
    case 'unlock':
    case 'unregister': {
      const { kind: folder, key: account } = change
      return forEach(change, (name) => [
        { kind: 'finish-waiting', folder, name, account, stamp, text: textOf(change, folder, change.forward, name) },
      ])
    }
  }
}

export function arrivedJob(change: Change): DiskJob {
  const stamp = utcStamp(change.plannedAtMs)
  const text = textOf(change, change.kind, change.forward)
  return forEach(change, (name) => [{ kind: 'put-history', folder: `${change.kind}/history`, name, stamp, text }])
}

/**
 * An unregister that did not happen leaves its file: the serial is still in the entry, and the file still removes it.
 */
export function abandonedJob(change: Change, keep: readonly string[]): DiskJob {
  const stamp = utcStamp(change.plannedAtMs)
  const drop = (folder: WaitingFolder, name: string): DiskStep[] =>
    keep.includes(name) ? [] : [{ kind: 'drop-waiting', folder, name, owner: ownerOf(change) }]
  switch (change.kind) {
    case 'lock':
      return forEach(change, (name) => [
        { kind: 'drop-waiting', folder: 'lock', name, owner: ownerOf(change) },
        ...drop('unlock', name),
      ])
    case 'register': {
      const text = textOf(change, 'register', change.forward)
      return forEach(change, (name) => [
        { kind: 'drop-history', folder: 'register/history', name, stamp, text },
        ...drop('unregister', name),
      ])
    }
    case 'unlock':
      return forEach(change, (name) => drop('unlock', name))
    case 'unregister':
      return { steps: [] }
  }
}

/** The change's own files, and no others. */
function ownerOf({ key: account, id }: Change): FileOwner {
  return { kind: 'change', account, change: id }
}

function forEach(change: Change, stepsOf: (name: string) => readonly DiskStep[]): DiskJob {
  return { steps: change.holds.flatMap((name) => stepsOf(name)) }
}

/** @param hold the hold that the file is named for, where its end belongs into the header */
function textOf(change: Change, event: ChangeKind, entries: readonly EntryModification[], hold?: string): string {
  const { plannedAtMs: atMs, actor, owner, key: account, id, reason } = change
  const untilUs = hold === undefined ? undefined : change.ends?.[hold]
  return writeChangeLdif(entries, headerOf({ atMs, event, actor, owner, account, change: id, untilUs, reason }))
}
