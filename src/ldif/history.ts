import { opendirSync } from 'node:fs'
import { fileError } from './file-error.ts'
import { HISTORY_FOLDERS, historyTimeMs } from './layout.ts'
import { remove } from './plain-file.ts'

const ENTRIES_PER_READ = 256
/**
 * Removes history files written before `beforeMs` (by their names), at most `limit` of them in no order, and says how
 * many it removed; call it again while it finds some. What waits, and what strangers put there, is never touched. The
 * folders are streamed, so that a history of a million files takes no memory.
 * On ext4 each removed file makes the making of new ones in its folder slower by about 0.1 µs for up to five minutes.
 * Fails with `file-not-permitted`, `file-io`.
 */
export async function pruneHistory(dir: string, beforeMs: number, limit: number): Promise<number> {
  let removed = 0
  for (const folder of HISTORY_FOLDERS) {
    if (removed >= limit) break
    const path = `${dir}/${folder}`
    try {
      for await (const entry of opendirSync(path, { bufferSize: ENTRIES_PER_READ })) {
        if (removed >= limit) break
        const writtenAtMs = entry.isFile() ? historyTimeMs(entry.name) : null
        if (writtenAtMs !== null && writtenAtMs < beforeMs && remove(`${path}/${entry.name}`)) removed++
      }
    } catch (thrown) {
      throw fileError(thrown, 'prune', path)
    }
  }
  return removed
}
