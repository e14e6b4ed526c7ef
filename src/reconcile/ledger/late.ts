import type { Change } from '../../core/account/change.ts'
import { lateLook, nextLateLookMs, placesInQuestion, type Arrival, type LateChange } from '../../core/account/late.ts'
import type { Outcome } from '../../core/account/outcome.ts'
import type { Planned, PlanOptions } from '../../core/account/plan.ts'
import type { ObservedState, OurRecord } from '../../core/account/state.ts'
import type { AdoptionOrder, Claim } from '../../ports/store/store.ts'
import type { Ports } from '../ports.ts'

/** Writes of one account that may still arrive, in the course of a turn (core/account/late.ts). */

export interface LateState {
  changes: readonly LateChange[]
  /** See Claim. */
  adopts: AdoptionOrder | null
  /** See Claim.lateUntilMs. */
  untilMs: number | null
}

export function lateStateOf({ late, lateUntilMs, adopts }: Claim): LateState {
  return { changes: late, adopts, untilMs: lateUntilMs }
}

/** @param isBehind it cannot be decided whether our lock is gone: then no unlock of ours counts as the reason */
export async function lateOptions(
  late: LateState,
  observed: ObservedState,
  ours: OurRecord,
  isBehind: boolean,
  ports: Pick<Ports, 'directory'>,
): Promise<Pick<PlanOptions, 'late' | 'adopts'>> {
  const adopts = late.adopts === null ? {} : { adopts: true }
  const changes = isBehind ? late.changes.filter(({ change }) => change.kind !== 'unlock') : late.changes
  if (changes.length === 0) return adopts
  const dns = placesInQuestion(changes, observed, ours)
  const writers = dns.length === 0 ? new Map() : await ports.directory.lastWriters(observed.key, dns)
  return { ...adopts, late: { changes, writers } }
}

/** Puts on record what was found, and returns what is ours then. */
export async function recordArrival(
  found: Arrival | Extract<Planned, { kind: 'adopt' }>,
  claim: Claim,
  ours: OurRecord,
  late: LateState,
  { ledger }: Pick<Ports, 'ledger'>,
): Promise<OurRecord> {
  if (found.kind === 'adopt') {
    if (late.adopts !== null) await ledger.adopt(claim, found.lock, found.change, late.adopts)
    late.adopts = null
    late.changes = late.changes.filter(({ change }) => change.id !== found.change)
    return { lock: found.lock }
  }
  const { change } = found.late
  if (found.kind === 'others') {
    await ledger.countAsOthers(claim, change)
    late.changes = late.changes.map((each) => (isOf(each, change) ? { ...each, isOthers: true } : each))
    return ours
  }
  await ledger.arrived(claim, change, ours.lock, found.lock)
  late.changes = late.changes.filter((each) => !isOf(each, change))
  return { lock: found.lock }
}

function isOf(late: LateChange, change: Change): boolean {
  return late.change.id === change.id
}

/** When a write that may still arrive is next looked for; null: there is none. */
export function nextLateMs({ changes, untilMs }: LateState, nowMs: number): number | null {
  return untilMs === null ? null : nextLateLookMs([...changes, { untilMs, isOthers: false }], nowMs)
}

/** @param last what the conclusion rests on; null: the turn did not come to one */
export function lateFindings(
  { adopts }: Claim,
  { changes, untilMs }: LateState,
  last: { readonly observed: ObservedState; readonly ours: OurRecord } | null,
  isGone: boolean,
  nowMs: number,
): Pick<Outcome, 'lateLook' | 'isAdoptionOver'> {
  if (last === null && !isGone) return {}
  const found = lateLook(changes, last?.observed ?? null, last?.ours ?? { lock: null }, nowMs)
  return { ...(adopts !== null && { isAdoptionOver: true }), ...(untilMs !== null && { lateLook: found }) }
}

/** What may have changed without a sign of it is read afresh. */
export function canReuseReading({ attempts, open, lateUntilMs, adopts }: Claim): boolean {
  return attempts === 0 && open === null && lateUntilMs === null && adopts === null
}

/** It rests on the absence of our lock. */
export function saysGone(planned: Planned): boolean {
  const { kind } = planned
  return kind === 'foreign-unlock' || kind === 'forget' || (kind === 'arrived' && planned.late.change.kind === 'unlock')
}
