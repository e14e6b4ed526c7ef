import { lstatSync } from 'node:fs'
import type { Settings } from '../core/settings.ts'

/**
 * An administrator calls the commands as root, while store and folders belong to the service's user: then the command
 * goes on as that user, so that it never leaves a file behind which the service cannot read. Does nothing where it is
 * not called by root, where there is no store yet, and where the store is root's own.
 */
export function becomeOwnerOf(settings: Settings): void {
  if (process.getuid?.() !== 0) return
  const owner = lstatSync(settings.store.file, { throwIfNoEntry: false })
  if (owner === undefined || owner.uid === 0) return
  process.setgroups?.([owner.gid])
  process.setgid?.(owner.gid)
  process.setuid?.(owner.uid)
}
