import { restoredHold, restoredSerial } from '../../core/events/evidence.ts'
import { toAppError } from '../../core/error.ts'
import { foldEvents } from '../../core/account/fold.ts'
import { parseSerial, type AccountKey } from '../../core/names.ts'
import { spelledAmong } from '../../core/serials/serial-key.ts'
import { serialsIn } from '../../core/account/serial-values.ts'
import type { ObservedState } from '../../core/account/state.ts'
import type { EvidenceFile } from '../../ports/store/evidence.ts'
import { errorFields, type Log } from '../log.ts'
import { reclaim } from './reclaim.ts'
import { recoverUnlocks } from './recover-folders.ts'
import type { System } from '../system.ts'
import { delay } from '../../ports/delay.ts'
import { fitFile, ownedLock, readWaitingFile, type WaitingFile } from './waiting-file.ts'

/**
 * Waiting files that are newer than the record, compared with the directory. Where the lock or serial that the file
 * reverts is still there, it is ours again, with a hold as old as the file: a newer manual action on record, or
 * privacyIDEA, ends it. A file without anything left in the directory is history. A file that cannot be judged now is
 * kept, and checked again.
 */

export type EvidenceSystem = Pick<System, 'store' | 'ldif' | 'clock' | 'source'> & {
  readonly directory: Pick<System['directory'], 'observe'>
}

const NAMES_MAX = 10

export interface EvidenceReport {
  readonly adopted: readonly string[]
  readonly accounts: number
  /** Files that prove nothing, and are history. */
  readonly void: readonly string[]
  /** Files that cannot be judged yet. */
  readonly kept: number
  /** Files of accounts with work in progress. */
  readonly busy: number
}

interface Tally {
  readonly adopted: string[]
  accounts: number
  readonly void: string[]
  readonly kept: string[]
  why: string
  /** Files of accounts with work in progress. */
  busy: number
}

export async function lookAtEvidence(system: EvidenceSystem, log: Log): Promise<EvidenceReport> {
  const { store } = system
  const tally: Tally = { adopted: [], accounts: 0, void: [], kept: [], why: '', busy: 0 }
  for (const [key, files] of Map.groupBy(await store.evidence.all(), (file) => file.key)) {
    try {
      const isFree = await store.processLock.whileIdle(key, () => lookAtAccount(system, key, files, tally))
      if (!isFree) tally.busy += files.length
    } catch (thrown) {
      const error = toAppError(thrown)
      keep(tally, files, error.message)
      if (error.code.startsWith('store-')) throw thrown
    }
  }
  await report(system, tally, log)
  const { adopted, accounts, void: proven, kept, busy } = tally
  return { adopted, accounts, void: proven, kept: kept.length, busy }
}

type Files = readonly EvidenceFile[]

async function lookAtAccount(system: EvidenceSystem, key: AccountKey, files: Files, tally: Tally): Promise<void> {
  const look: Look = { system, observed: await system.directory.observe(key, [], 0), tally }
  const locks = files.filter(({ folder }) => folder === 'unlock')
  await lookAtLock(look, locks)
  for (const file of files) if (file.folder === 'unregister') await lookAtSerial(look, file)
}

interface Look {
  readonly system: EvidenceSystem
  readonly observed: ObservedState
  readonly tally: Tally
}

async function lookAtLock({ system, observed, tally }: Look, files: Files): Promise<void> {
  const { store, ldif, source } = system
  const { key, dn } = observed
  const waiting: { file: EvidenceFile; read: WaitingFile }[] = []
  for (const file of files) {
    const read = await readWaitingFile(ldif, 'unlock', file.name)
    if (read?.key === key && isSame(file, read)) waiting.push({ file, read })
    // The lock was removed externally, or the account was locked anew: the record has it.
    else await store.evidence.forget([file])
  }
  const found = waiting.map(({ file, read }) => ({ file, read, ...reclaim(read.entries, observed) }))
  const existing = found.filter(({ slots }) => slots.length > 0)
  const gone = found.filter(({ slots, unclear }) => slots.length === 0 && unclear === null)
  const unclear = found.filter((each) => each.slots.length === 0 && each.unclear !== null)
  const [best] = existing.toSorted((a, b) => b.slots.length - a.slots.length)
  if (best !== undefined) {
    const reads = existing.map(({ read }) => read)
    const events = reads.map(({ name, takenAtUs, untilUs }) => restoredHold(key, name, takenAtUs, untilUs))
    const { holds } = foldEvents(key, events, { nowUs: 0, lockTtlUs: null })
    const owned = ownedLock(best.slots, dn, reads)
    const adopted = existing.map(({ file }) => file)
    await store.evidence.adopt({ key, dn, events, owned, holds }, adopted, source !== null)
    for (const each of existing) await fitFile(ldif, owned, each.read, each.unclear !== null)
    tally.accounts++
    tally.adopted.push(...adopted.map(nameOf))
  }
  for (const { file } of gone) await close(system, file, tally)
  for (const each of unclear) keep(tally, [each.file], each.unclear ?? '')
}

async function lookAtSerial({ system, observed, tally }: Look, file: EvidenceFile): Promise<void> {
  const { store, ldif, source } = system
  const { key, dn, serialFormat, serialAttributeMultiValued, serialValues } = observed
  const serial = parseSerial(file.name)
  const read = await readWaitingFile(ldif, 'unregister', file.name)
  if (serial === null || read?.key !== key || !isSame(file, read)) return store.evidence.forget([file])
  const existing = serialsIn(serialFormat, serialAttributeMultiValued, serialValues)
  if (spelledAmong(existing, serial) === null) return close(system, file, tally)
  const events = [restoredSerial(key, serial, read.takenAtUs)]
  await store.evidence.adopt({ key, dn, events, owned: null, holds: [] }, [file], source !== null)
  tally.accounts++
  tally.adopted.push(nameOf(file))
}

function isSame({ atMs }: EvidenceFile, { header }: WaitingFile): boolean {
  return Date.parse(header.at) === atMs
}

/** Nothing of it is in the directory: a lock that was never seen is dropped; all else is history. */
async function close({ store, ldif }: EvidenceSystem, file: EvidenceFile, tally: Tally): Promise<void> {
  await ldif.dropPending(file.folder, file.name, file.isUnseen ? 'superseded' : 'applied', file.key)
  await store.evidence.forget([file])
  if (!file.isUnseen) tally.void.push(nameOf(file))
}

function keep(tally: Tally, files: readonly EvidenceFile[], why: string): void {
  tally.kept.push(...files.map(nameOf))
  tally.why = why
}

function nameOf({ folder, name }: EvidenceFile): string {
  return `${folder}/${name}.ldif`
}

async function report({ store }: EvidenceSystem, tally: Tally, log: Log): Promise<void> {
  const { adopted, accounts, kept, why } = tally
  if (tally.void.length > 0) {
    const files = tally.void.slice(0, NAMES_MAX).join(' ')
    const count = tally.void.length
    log.warn('waiting LDIF files of which nothing is in the directory are history now', { count, files })
  }
  if (accounts > 0) await noteOlderStore(store, { adopted: accounts, released: 0, files: adopted })
  const params = { count: kept.length, files: kept.slice(0, NAMES_MAX), why }
  const drafts = kept.length === 0 ? [] : [{ subject: '', reason: { code: 'unproven-files', params } as const }]
  await store.findings.sync('unproven-files', drafts)
}

/** The results are added up until a start finds the store as new as its folders. */
export async function noteOlderStore(
  { findings }: Pick<System['store'], 'findings'>,
  more: { readonly adopted: number; readonly released: number; readonly files: readonly string[] },
): Promise<void> {
  const open = (await findings.open()).find(({ kind }) => kind === 'store-older-than-folders')
  const { adopted = 0, released = 0, files = [] } = (open?.params ?? {}) as Partial<typeof more>
  const params = {
    adopted: adopted + more.adopted,
    released: released + more.released,
    files: [...files, ...more.files].slice(0, NAMES_MAX),
  }
  await findings.raise({ subject: '', reason: { code: 'store-older-than-folders', params } })
}

const LOOK_MS = 5_000
/** Work on an account seldom takes long. */
const BUSY_LOOK_MS = 500

/** Repeats the check while a file is kept that is not proven yet. */
export async function keepLookingAtEvidence(
  system: EvidenceSystem,
  log: Log,
  wake: () => void,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    let waitMs = LOOK_MS
    try {
      const { accounts, kept, busy } = await lookAtEvidence(system, log)
      if (accounts > 0) wake()
      if (kept + busy === 0) return
      if (kept === 0) waitMs = BUSY_LOOK_MS
    } catch (thrown) {
      log.error('waiting LDIF files could not be looked at', errorFields(toAppError(thrown)))
    }
    await delay(waitMs, stop)
  }
}

/**
 * For a run that ends by itself: brings `unlock/` in sync, and compares files newer than the record with the directory.
 */
export async function recoverOnce(system: EvidenceSystem, log: Log): Promise<void> {
  const { released } = await recoverUnlocks(system)
  if (released > 0) await noteOlderStore(system.store, { adopted: 0, released, files: [] })
  await lookAtEvidence(system, log)
}
