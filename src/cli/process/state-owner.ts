import { lstatSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Settings } from '../../core/settings/settings.ts'

/**
 * An administrator calls the commands as root, while store and folders belong to the service's user: then the command
 * goes on as that user, so that it never leaves a file that the service cannot read. Does nothing where the caller is
 * not root, and where the state is root's own or there is none yet.
 */
export function becomeOwnerOf(settings: Settings): void {
  if (process.getuid?.() !== 0) return
  const places = [settings.store.file, dirname(settings.store.file), settings.ldif.dir]
  const owner = places.map((path) => lstatSync(path, { throwIfNoEntry: false })).find((stats) => stats !== undefined)
  if (owner === undefined || owner.uid === 0) return
  process.setgroups?.([owner.gid])
  process.setgid?.(owner.gid)
  process.setuid?.(owner.uid)
}
