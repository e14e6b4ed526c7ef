import { parseChangeLdif } from '../../core/ldif.ts'
import { parseSerial, splitAccountKey } from '../../core/names.ts'
import type { OwnSerial } from '../../ports/store/authorship.ts'
import type { FolderSystem } from './recover-folders.ts'

/**
 * Once after an upgrade: each file that waits in `unregister/` proves that this store wrote its serial, also with a
 * short retention of events and changes. A file that cannot be read proves nothing.
 */

const PAGE = 500

export async function takeAuthorshipOfFiles({ store, ldif }: FolderSystem): Promise<void> {
  if (!(await store.authorship.areFilesDue())) return
  const names = await ldif.listPending('unregister')
  for (let at = 0; at < names.length; at += PAGE) {
    const found = await Promise.all(names.slice(at, at + PAGE).map((name) => authorOf(ldif, name)))
    await store.authorship.written(found.flatMap((each) => each ?? []))
  }
  await store.authorship.filesAreTaken()
}

async function authorOf(ldif: FolderSystem['ldif'], name: string): Promise<OwnSerial | null> {
  const serial = parseSerial(name)
  const text = await ldif.readPending('unregister', name)
  if (serial === null || text === null) return null
  try {
    const key = splitAccountKey(parseChangeLdif(text).header.account)?.key
    return key === undefined ? null : { key, serial }
  } catch {
    return null
  }
}
