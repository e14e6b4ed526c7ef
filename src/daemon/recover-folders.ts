import { parseChangeLdif } from '../core/ldif.ts'
import { parseHoldName, parseSerial, splitAccountKey, type AccountKey } from '../core/names.ts'
import { writePending } from '../reconcile/ledger.ts'
import type { System } from './system.ts'

/** What of the system is needed here. */
export type FolderSystem = Pick<System, 'store' | 'ldif' | 'clock'>

/**
 * At a start, when nobody else is at work: makes the waiting files fit the record. A crash may have left a file too
 * much (its change never happened) or too few (lost before it was written anew). A file of an account that the record
 * does not know, or that a rebuild left alone, is never removed: it may be all that is left of a lost store.
 */
export interface FolderReport {
  readonly removed: number
  readonly written: number
  /** Files that belong to no record: `lockstep rebuild` reads them. */
  readonly strangers: readonly string[]
}

const PAGE = 500
const STRANGERS_MAX = 100

/** The folder `unlock/` and the forward files of `lock/`. */
export async function recoverUnlocks(system: FolderSystem): Promise<FolderReport> {
  const { store, ldif, clock } = system
  const there = new Set(await ldif.listPending('unlock'))
  const wanted = new Set<string>()
  let written = 0
  for await (const { key, owned } of store.upkeep.ownedAccounts()) {
    for (const name of owned.holds) wanted.add(name)
    if (owned.holds.every((name) => there.has(name))) continue
    await writePending(ldif, key, owned, clock.nowMs(), false)
    written++
  }
  const open = await store.upkeep.openChanges()
  const leftAlone = await store.restore.leftAlone()
  const strangers: string[] = []
  let removed = 0
  for (const text of there) {
    const name = parseHoldName(text)
    if (name === null || wanted.has(text)) continue
    const key = leftAlone.has(text) ? null : await ownerOf(system, 'unlock', text)
    if (key === null) addStranger(strangers, `unlock/${text}.ldif`)
    else if (!(await store.upkeep.pendingNamesOf(key)).includes(text)) {
      await ldif.dropPending('unlock', name, 'superseded', key)
      removed++
    }
  }
  await ldif.sweep(open.flatMap((change) => change.holds))
  return { removed, written, strangers }
}

/** The folder `unregister/`: files whose registration never happened, or is over. Others may be at work meanwhile. */
export async function recoverUnregisters(system: FolderSystem): Promise<FolderReport> {
  const { store, ldif } = system
  const strangers: string[] = []
  let removed = 0
  const names = await ldif.listPending('unregister')
  for (let at = 0; at < names.length; at += PAGE) {
    const page = names.slice(at, at + PAGE)
    const assigned = await store.upkeep.assignedOf(page)
    for (const text of page.filter((name) => !assigned.has(name))) {
      const serial = parseSerial(text)
      if (serial === null) continue
      const key = await ownerOf(system, 'unregister', text)
      if (key === null) addStranger(strangers, `unregister/${text}.ldif`)
      else
        await store.processLock.whileIdle(key, async () => {
          if (!(await isOver(system, key, text))) return
          await ldif.dropPending('unregister', serial, 'superseded', key)
          removed++
        })
    }
  }
  return { removed, written: 0, strangers }
}

/** Looked at again while nobody works on the account: a new registration may have come. */
async function isOver({ store }: FolderSystem, key: AccountKey, serial: string): Promise<boolean> {
  if ((await store.upkeep.assignedOf([serial])).has(serial)) return false
  if ((await store.upkeep.pendingNamesOf(key)).includes(serial)) return false
  // Held back (a pause, a dry run), the serial still stands there.
  return (await store.reports.find(key, 1))[0]?.standing === 'in-step'
}

/** The account that a waiting file names, where the record knows it. */
async function ownerOf(
  system: FolderSystem,
  folder: 'unlock' | 'unregister',
  name: string,
): Promise<AccountKey | null> {
  const text = await system.ldif.readPending(folder, name)
  if (text === null) return null
  try {
    const key = splitAccountKey(parseChangeLdif(text).header.account)?.key ?? null
    return key !== null && (await system.store.upkeep.hasAccount(key)) ? key : null
  } catch {
    return null
  }
}

function addStranger(strangers: string[], name: string): void {
  if (strangers.length < STRANGERS_MAX) strangers.push(name)
}
