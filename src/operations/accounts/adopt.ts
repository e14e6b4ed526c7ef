import { splitAccountKey, type Serial } from '../../core/names.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { adoptedOf } from '../../core/account/slot.ts'
import type { Drift, LeftAlone, ResyncReport, ResyncStep, UnownedMark } from '../../reconcile/source/resync-ports.ts'
import { resync } from '../../reconcile/source/resync.ts'
import type { Log } from '../../app/log.ts'
import { openForResync, resyncIn, sourceOf } from './resync-once.ts'
import type { System } from '../../app/system.ts'

/**
 * Marks that an administrator may adopt as ours: marks in the directories that this store neither wrote nor adopted,
 * and, where another privacyIDEA answers than the one on record, tokens that it no longer shows. First they are listed;
 * they are adopted after a confirmation.
 */

/**
 * `remove`: the serial goes. `unlock`: the lock is released. `take-over`: a hold is on the account, so the lock is
 * released with it. `leave`: the values before the lock are not known.
 */
export type AdoptionAction = 'remove' | 'unlock' | 'take-over' | 'leave'

export interface AdoptionRow {
  /** The account's DN, or its key where that is not known. */
  readonly account: string
  readonly serial: Serial | null
  readonly action: AdoptionAction
  readonly why: Reason
}

export interface AdoptionReport {
  readonly rows: readonly AdoptionRow[]
  /** Another privacyIDEA answers than the one on record; it was accepted where the adoption was done. */
  readonly isOtherSource: boolean
  readonly left: readonly LeftAlone[]
  /** The run that did it; null: only listed. */
  readonly done: ResyncReport | null
}

export interface AdoptionOptions {
  /** The person who orders it; null: only list. */
  readonly by: string | null
  readonly log: Log
  onProgress(step: ResyncStep): void
}

/** Fails as `resync` does; with `config-invalid` in mode `events`. */
export async function adopt(settings: Settings, options: AdoptionOptions): Promise<AdoptionReport> {
  await using system = await openForResync(settings)
  const { by, log } = options
  const shown = { onProgress: (step: ResyncStep) => options.onProgress(step) }
  const { report, rows } = await list(system, shown)
  const { isOtherSource, left } = report
  if (by === null) return { rows, isOtherSource, left, done: null }
  const accepts = { acceptsMarks: true, acceptsDrop: isOtherSource }
  const done = await resyncIn(system, { isDryRun: false, ...accepts, ...shown, log }, async () => {
    if (isOtherSource) await sourceOf(system).check.accept(by)
    await adoptMarks(system, report.unowned, by)
  })
  return { rows, isOtherSource, left: done.left, done }
}

async function list(
  system: System,
  shown: Pick<AdoptionOptions, 'onProgress'>,
): Promise<{ report: ResyncReport; rows: AdoptionRow[] }> {
  const source = sourceOf(system)
  const report = await resync(source, { isDryRun: true, acceptsDrop: true, acceptsMarks: true, ...shown })
  const rows: AdoptionRow[] = []
  for (const mark of report.unowned) rows.push(await rowOf(system, mark, report.drift))
  if (report.isOtherSource) for (const drift of report.drift) rows.push(...(await rowsOfAbsence(system, drift)))
  return { report, rows }
}

async function rowOf(system: System, mark: UnownedMark, drift: readonly Drift[]): Promise<AdoptionRow> {
  const { key, dn, serial, why } = mark
  const base = { account: dn, serial, why }
  if (serial !== null) return { ...base, action: 'remove' }
  const observed = await system.directory.observe(key, [], 0)
  if (observed.lock.slots.some((slot) => adoptedOf(slot) === null)) return { ...base, action: 'leave' }
  const { holds } = await system.ports.desired.of(key, system.clock.nowMs())
  const isHeld = holds.length > 0 || drift.some(({ account, should }) => account === dn && should === 'locked')
  return { ...base, action: isHeld ? 'take-over' : 'unlock' }
}

/** Rows for tokens that the present privacyIDEA does not show. */
async function rowsOfAbsence(system: System, { account, serial, now, should, why }: Drift): Promise<AdoptionRow[]> {
  if (should !== 'not its own') return []
  const key = splitAccountKey(account)?.key ?? null
  const [known] = key === null ? [] : await system.store.reports.find(key, 1)
  const base = { account: known?.dn ?? account, serial, why }
  return now === 'locked'
    ? [
        { ...base, action: 'remove' },
        { ...base, action: 'unlock' },
      ]
    : [{ ...base, action: 'remove' }]
}

async function adoptMarks(system: System, marks: readonly UnownedMark[], by: string): Promise<void> {
  const serials = marks.flatMap(({ key, serial }) => (serial === null ? [] : [{ key, serial }]))
  await system.store.authorship.adopt(serials, by)
  for (const { key, dn, serial } of marks) if (serial === null) await adoptLock(system, { key, dn }, by)
}

/** The next turn of the account carries it out, where the lock is still as it was listed. */
async function adoptLock({ store }: System, { key, dn }: Pick<UnownedMark, 'key' | 'dn'>, by: string): Promise<void> {
  await store.snapshots.note({ key, dn, login: null, realm: null })
  await store.records.orderAdoption(key, { actor: by, reason: 'lockstep resync --adopt' })
  await store.snapshots.markKeysForRefresh([key])
}
