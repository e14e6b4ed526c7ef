import { noteOlderStore } from './evidence.ts'
import type { Log } from '../log.ts'
import type { FolderReport } from './recover-folders.ts'
import type { System } from '../system.ts'

/** The result of bringing the LDIF folders in sync with the record. */

/** Once the store is as new as its folders again, the finding of an older store ends. */
export async function noteFolders({ store }: Pick<System, 'store'>, log: Log, report: FolderReport): Promise<void> {
  reportFolders(log, report)
  const { released, unproven } = report
  if (released > 0) await noteOlderStore(store, { adopted: 0, released, files: [] })
  else if (unproven === 0 && (await store.evidence.all()).length === 0) {
    await store.findings.end('store-older-than-folders', '')
  }
  await store.findings.end('folders-made-again', '')
}

export function reportFolders(log: Log, report: FolderReport): void {
  const { removed, written, unknownFiles } = report
  if (removed + written > 0) log.info('LDIF folders were brought in step with the record', { removed, written })
  if (unknownFiles.length > 0) {
    log.warn('LDIF files belong to no record; lockstep rebuild takes them in', { files: unknownFiles.join(' ') })
  }
}
