import { lstatSync, readdirSync } from 'node:fs'
import type { Change } from '../core/account/change.ts'
import { parseChangeLdif, utcStamp } from '../core/ldif.ts'
import { parseHoldName } from '../core/names.ts'
import type { LdifPort } from '../ports/ldif.ts'
import { abandonedJob, appliedJob, arrivedJob, prepareJob } from './change-jobs.ts'
import { newestReleases } from './history.ts'
import { readText, remove } from './plain-file.ts'
import type { DiskStep } from './disk-job.ts'
import { DiskQueue, type WorkerUse } from './disk-queue.ts'
import { errnoOf } from '../core/system-error.ts'
import { fileError } from './file-error.ts'
import { FolderKeeper } from './folder-keeper.ts'
import {
  historyOf,
  historyPath,
  temporaryOwner,
  STAGING_FOLDERS,
  waitingName,
  waitingPath,
  type Folder,
} from './layout.ts'

/** How long a temporary file whose writer seems to run is not touched: process ids are reused. */
const TEMPORARY_AGE_MAX_MS = 3_600_000

/**
 * Opens the LDIF folders, and makes missing ones.
 * Fails with `file-not-permitted` for a folder that is a symbolic link, another user's or writable by everybody.
 * @param nowMs the clock, for files that move without a change
 */
export async function openLdifFolders(options: {
  readonly dir: string
  readonly nowMs?: () => number
  readonly worker?: WorkerUse
}): Promise<LdifPort> {
  const { dir, nowMs = Date.now, worker = 'auto' } = options
  const keeper = new FolderKeeper(dir)
  const queue = new DiskQueue(dir, worker, () => keeper.restore())
  return {
    // async: an error while the text is made becomes a rejection too.
    prepare: async (change) => queue.run(prepareJob(change)),
    applied: async (change) => queue.run(appliedJob(change)),
    arrived: async (change) => queue.run(arrivedJob(change)),
    wasApplied: async (change) => isInHistory(dir, change),
    abandoned: async (change, keep) => queue.run(abandonedJob(change, keep)),
    ensurePending: async (file) =>
      queue.run({ steps: [{ kind: 'ensure-waiting', ...file, stamp: utcStamp(nowMs()) }] }),
    replacePending: async (file) => queue.run({ steps: [{ kind: 'put-waiting', ...file, stamp: utcStamp(nowMs()) }] }),
    renewPending: async (file) => queue.run({ steps: [{ kind: 'keep-waiting', ...file, stamp: utcStamp(nowMs()) }] }),
    async dropPending(folder, name, how, account, untilMs = nowMs()) {
      const owner = { kind: 'account', account, at: new Date(untilMs).toISOString() } as const
      const step: DiskStep =
        how === 'applied'
          ? { kind: 'to-history', folder, name, stamp: utcStamp(nowMs()), owner }
          : { kind: 'drop-waiting', folder, name, owner }
      await queue.run({ steps: [step] })
    },
    listPending: async (folder) => fileNames(dir, folder).flatMap((name) => waitingName(name) ?? []),
    readPending: async (folder, name) =>
      parseHoldName(name) === null ? null : readText(waitingPath(dir, folder, name)),
    async changedFolders() {
      keeper.restore()
      return keeper.takeChanged()
    },
    releases: (names) => newestReleases(dir, names),
    async sweep(inWork) {
      sweepTemporary(dir, queue.owner, nowMs())
      const kept = new Set<string>(inWork)
      const left = fileNames(dir, 'lock').flatMap((name) => waitingName(name) ?? [])
      const steps = left
        .filter((name) => !kept.has(name))
        .map((name) => ({ kind: 'drop-waiting', folder: 'lock', name, owner: { kind: 'any' } }) as const)
      await queue.run({ steps })
    },
    [Symbol.asyncDispose]: () => queue[Symbol.asyncDispose](),
  }
}

function isInHistory(dir: string, change: Change): boolean {
  if (change.kind !== 'lock' && change.kind !== 'unlock') return false
  const folder = historyOf(change.kind)
  const stamp = utcStamp(change.plannedAtMs)
  const texts = change.holds.map((name) => readText(historyPath(dir, folder, name, stamp, 1)))
  return texts.some((text) => text !== null && parseChangeLdif(text).header.change === change.id)
}

function fileNames(dir: string, folder: Folder | 'register'): string[] {
  try {
    return readdirSync(`${dir}/${folder}`)
  } catch (thrown) {
    throw fileError(thrown, 'list', `${dir}/${folder}`)
  }
}

/** Removes unfinished files of writers that no longer run. */
function sweepTemporary(dir: string, ourselves: string, nowMs: number): void {
  for (const folder of STAGING_FOLDERS) {
    for (const name of fileNames(dir, folder)) {
      const owner = temporaryOwner(name)
      if (owner === null || owner === ourselves) continue
      const path = `${dir}/${folder}/${name}`
      const stats = lstatSync(path, { throwIfNoEntry: false })
      if (stats === undefined) continue
      const mayLive = lives(owner) && nowMs - stats.mtimeMs < TEMPORARY_AGE_MAX_MS
      if (!mayLive) remove(path)
    }
  }
}

/** Whether the process of a temporary file runs; a process of our own id and another start does not. */
function lives(owner: string): boolean {
  const pid = Number.parseInt(owner, 10)
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (thrown) {
    return errnoOf(thrown) === 'EPERM'
  }
}
