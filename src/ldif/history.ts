import { opendirSync } from 'node:fs'
import { fileError } from './file-error.ts'
import { parseChangeLdif } from '../core/ldif.ts'
import type { Release } from '../ports/ldif.ts'
import { HISTORY_FOLDERS, historyName, historyTimeMs } from './layout.ts'
import { OpenFolders } from './open-folders.ts'
import { readText, remove } from './plain-file.ts'

const ENTRIES_PER_READ = 256
/**
 * Removes history files written before `beforeMs` (by their names), at most `limit` of them in no order, and returns
 * how many it removed; to be repeated while it finds some. Waiting files and unknown files are never touched. The
 * folders are streamed, so that a history of a million files takes no memory.
 * On ext4 each removed file makes the making of new ones in its folder slower by about 0.1 µs for up to five minutes.
 * Fails with `file-not-permitted`, `file-io`.
 */
export async function pruneHistory(dir: string, beforeMs: number, limit: number): Promise<number> {
  let removed = 0
  using folders = new OpenFolders(dir)
  for (const folder of HISTORY_FOLDERS) {
    if (removed >= limit) break
    try {
      const path = folders.at(folder)
      for await (const entry of opendirSync(path, { bufferSize: ENTRIES_PER_READ })) {
        if (removed >= limit) break
        const writtenAtMs = entry.isFile() ? historyTimeMs(entry.name) : null
        if (writtenAtMs !== null && writtenAtMs < beforeMs && remove(`${path}/${entry.name}`)) removed++
      }
    } catch (thrown) {
      throw fileError(thrown, 'prune', `${dir}/${folder}`)
    }
  }
  return removed
}

/** The newest file of `unlock/history/` for each name; a file that cannot be read proves nothing. */
export async function newestReleases(dir: string, names: ReadonlySet<string>): Promise<Map<string, Release>> {
  const newest = new Map<string, { atMs: number; file: string }>()
  const path = `${dir}/unlock/history`
  try {
    for await (const entry of opendirSync(path, { bufferSize: ENTRIES_PER_READ })) {
      const name = historyName(entry.name)
      const atMs = entry.isFile() && name !== null && names.has(name) ? historyTimeMs(entry.name) : null
      if (name === null || atMs === null || atMs <= (newest.get(name)?.atMs ?? -1)) continue
      newest.set(name, { atMs, file: entry.name })
    }
  } catch (thrown) {
    throw fileError(thrown, 'list', path)
  }
  const releases = new Map<string, Release>()
  for (const [name, { atMs, file }] of newest) releases.set(name, { atMs, account: accountIn(`${path}/${file}`) })
  return releases
}

function accountIn(path: string): string {
  try {
    return parseChangeLdif(readText(path) ?? '').header.account
  } catch {
    return ''
  }
}
