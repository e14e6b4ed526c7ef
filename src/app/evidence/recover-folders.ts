import { coveredUntilMs, restoredRelease, restoredReleaseOfAll, weighFile } from '../../core/events/evidence.ts'
import { parseChangeLdif, type LdifHeader } from '../../core/ldif.ts'
import { parseHoldName, parseSerial, splitAccountKey, type AccountKey, type HoldName } from '../../core/names.ts'
import type { EvidenceFile } from '../../ports/store/evidence.ts'
import type { OwnedAccount } from '../../store/events/maintenance.ts'
import { holdKey } from '../../core/serials/serial-key.ts'
import { writePending } from '../../reconcile/ledger/ledger.ts'
import type { System } from '../system.ts'

export type FolderSystem = Pick<System, 'store' | 'ldif' | 'clock' | 'source'>

/**
 * At a start, when no other process works: brings the waiting files in sync with the record. A crash may have left a
 * file too much (its change never happened) or too few (lost before it was written anew). A file that the record covers
 * and does not contain any more is history. A file that is newer than the record (a restored backup) waits for the
 * check against the directory (app/evidence/evidence.ts). A file of an account that was never on record, or that a
 * rebuild did not touch, is not touched: it may be all that is left of a lost store.
 */
export interface FolderReport {
  /** Files that are history now. */
  readonly removed: number
  readonly written: number
  /** Files that only the directory can prove. */
  readonly unproven: number
  /** Accounts that the folders prove to be released since the record was written. */
  readonly released: number
  /** Files that belong to no record: `lockstep rebuild` reads them. */
  readonly unknownFiles: readonly string[]
}

const PAGE = 500
const UNKNOWN_FILES_MAX = 100

interface Sorting {
  readonly evidence: EvidenceFile[]
  readonly unknownFiles: string[]
  removed: number
}

/** The folder `unlock/` and the forward files of `lock/`. */
export async function recoverUnlocks(system: FolderSystem): Promise<FolderReport> {
  const { store, ldif, clock } = system
  let there = new Set(await ldif.listPending('unlock'))
  const wanted = new Set<HoldName>()
  const missing: OwnedAccount[] = []
  for await (const account of store.maintenance.ownedAccounts()) {
    for (const name of account.owned.holds) wanted.add(name)
    if (!account.owned.holds.every((name) => there.has(name))) missing.push(account)
  }
  const open = await store.maintenance.openChanges()
  const released = await releaseByHistory(system, missing, new Set(open.map(({ key }) => key)))
  let written = 0
  for (const account of missing) {
    const { key, owned } = account
    if (released.has(key)) continue
    await writePending(ldif, account, owned, clock.nowMs(), false)
    written++
  }
  if (written > 0) there = new Set(await ldif.listPending('unlock'))
  // On a file system that ignores case, a name shows in the spelling of its first write.
  const otherwise = new Set([...wanted].filter((name) => !there.has(name)).map(holdKey))
  const leftAlone = await store.restore.leftAlone()
  const sorting: Sorting = { evidence: [], unknownFiles: [], removed: 0 }
  const noted = await notedIn(system, 'unlock')
  for (const text of there) {
    const name = parseHoldName(text)
    if (name === null || wanted.has(name) || otherwise.has(holdKey(name)) || noted.has(text)) continue
    if (leftAlone.has(text)) addUnknownFile(sorting.unknownFiles, `unlock/${text}.ldif`)
    else await sortFile(system, 'unlock', name, sorting)
  }
  await store.evidence.note(sorting.evidence)
  await store.evidence.compared('unlock')
  await ldif.sweep(open.flatMap((change) => change.holds))
  const { removed, unknownFiles } = sorting
  return { removed, written, unproven: sorting.evidence.length, released: released.size, unknownFiles }
}

/**
 * An earlier start found them newer than the record, and the directory did not answer since: no later record decides.
 */
async function notedIn({ store }: FolderSystem, folder: EvidenceFile['folder']): Promise<ReadonlySet<string>> {
  const noted = await store.evidence.all()
  return new Set(noted.flatMap((file) => (file.folder === folder ? [file.name as string] : [])))
}

/** A waiting file that the record does not require: history, evidence, or an unknown file. */
async function sortFile(
  system: FolderSystem,
  folder: EvidenceFile['folder'],
  name: HoldName,
  sorting: Sorting,
): Promise<void> {
  const { worth, key, header } = await weigh(system, folder, name)
  if (key === null || header === null || worth === 'stranger') {
    return addUnknownFile(sorting.unknownFiles, `${folder}/${name}.ldif`)
  }
  // In exactly this spelling: a lock that came back in another case was written again under the name on record.
  if (folder === 'unlock' && (await system.store.maintenance.pendingNamesOf(key)).includes(name)) return
  if (worth === 'over') {
    await system.ldif.dropPending(folder, name, 'applied', key)
    sorting.removed++
    return
  }
  const forward = folder === 'unlock' ? await headerOf(system, 'lock', name) : null
  const isUnseen = forward !== null && forward.header.change !== '' && forward.header.change === header.change
  sorting.evidence.push({ folder, name, key, atMs: Date.parse(header.at), isUnseen })
}

async function weigh(
  system: FolderSystem,
  folder: EvidenceFile['folder'],
  name: HoldName,
): Promise<{ worth: ReturnType<typeof weighFile>; key: AccountKey | null; header: LdifHeader | null }> {
  const found = await headerOf(system, folder, name)
  if (found === null) return { worth: 'stranger', key: null, header: null }
  const known = await system.store.evidence.knownOf(folder, found.key, found.header.change)
  return { worth: weighFile(found.header, known), ...found }
}

/**
 * The record has a lock whose file is gone. Where the file went to history after the record was written, the lock was
 * released since then: the record is older than its folders. An open change is not closed yet, and is recovered
 * separately.
 */
async function releaseByHistory(
  { store, ldif, source }: FolderSystem,
  missing: readonly OwnedAccount[],
  isOpen: ReadonlySet<AccountKey>,
): Promise<ReadonlySet<AccountKey>> {
  const released = new Set<AccountKey>()
  const accounts = missing.filter(({ key }) => !isOpen.has(key))
  if (accounts.length === 0) return released
  const names = new Set<string>(accounts.flatMap(({ owned }) => owned.holds))
  const history = await ldif.releases(names)
  const recordAgeMs = await store.evidence.recordAgeMs('unlock')
  for (const { key, owned, updatedMs } of accounts) {
    const ended = owned.holds.flatMap((name) => {
      const last = history.get(name)
      return last !== undefined && last.account === key && last.atMs > coveredUntilMs(updatedMs, recordAgeMs)
        ? [{ name, atUs: last.atMs * 1000 }]
        : []
    })
    const [first] = ended
    if (first === undefined) continue
    const isAll = ended.length === owned.holds.length
    const events = ended.flatMap(({ name, atUs }) => restoredRelease(key, name, atUs) ?? [])
    const lastUs = Math.max(...ended.map(({ atUs }) => atUs))
    await store.evidence.release(key, isAll ? [...events, restoredReleaseOfAll(key, lastUs)] : events, source !== null)
    if (isAll) released.add(key)
  }
  return released
}

/**
 * The folder `unregister/`: files whose registration never happened, or is over. Other processes may work meanwhile.
 */
export async function recoverUnregisters(system: FolderSystem): Promise<FolderReport> {
  const { store, ldif } = system
  const sorting: Sorting = { evidence: [], unknownFiles: [], removed: 0 }
  const noted = await notedIn(system, 'unregister')
  const names = (await ldif.listPending('unregister')).filter((name) => !noted.has(name))
  for (let at = 0; at < names.length; at += PAGE) {
    const page = names.slice(at, at + PAGE)
    const assigned = await store.maintenance.assignedOf(page)
    for (const text of page.filter((name) => !assigned.has(name))) {
      const name = parseSerial(text) === null ? null : parseHoldName(text)
      if (name === null) continue
      const { worth, key } = await weigh(system, 'unregister', name)
      // Only files that the record covers can go, and only without work on the account.
      if (worth !== 'over' || key === null) await sortFile(system, 'unregister', name, sorting)
      else
        await store.processLock.whileIdle(key, async () => {
          if (await isOver(system, key, text)) await sortFile(system, 'unregister', name, sorting)
        })
    }
  }
  await store.evidence.note(sorting.evidence)
  await store.evidence.compared('unregister')
  const { removed, unknownFiles } = sorting
  return { removed, written: 0, unproven: sorting.evidence.length, released: 0, unknownFiles }
}

/** Checked again without work on the account: a new registration may have come. */
async function isOver({ store }: FolderSystem, key: AccountKey, serial: string): Promise<boolean> {
  if ((await store.maintenance.assignedOf([serial])).has(serial)) return false
  const name = parseHoldName(serial)
  const pending = (await store.maintenance.pendingNamesOf(key)).flatMap((each) => parseHoldName(each) ?? [])
  if (name === null || pending.some((each) => holdKey(each) === holdKey(name))) return false
  // While it is held back (a pause, a dry run), the serial is still in the entry.
  return (await store.reports.find(key, 1))[0]?.standing === 'in-step'
}

/** The header of a file; null where it is none of ours. */
async function headerOf(
  { ldif }: FolderSystem,
  folder: 'lock' | EvidenceFile['folder'],
  name: HoldName,
): Promise<{ key: AccountKey; header: LdifHeader } | null> {
  try {
    const text = await ldif.readPending(folder, name)
    if (text === null) return null
    const { header } = parseChangeLdif(text)
    const key = splitAccountKey(header.account)?.key
    return key === undefined ? null : { key, header }
  } catch {
    return null
  }
}

function addUnknownFile(unknownFiles: string[], name: string): void {
  if (unknownFiles.length < UNKNOWN_FILES_MAX) unknownFiles.push(name)
}
