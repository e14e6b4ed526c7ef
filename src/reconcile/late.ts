import type { Change } from '../core/change.ts'
import {
  lateLook,
  MAY_ARRIVE_MS,
  nextLateLookMs,
  placesInQuestion,
  type Arrival,
  type LateChange,
} from '../core/late.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Planned, PlanOptions } from '../core/plan.ts'
import { mayBeOthers, placesLeft, recoverChange, type Recovered } from '../core/recover.ts'
import type { ObservedState, OurRecord } from '../core/state.ts'
import type { AdoptionOrder, Claim } from '../ports/store.ts'
import type { Ports } from './ports.ts'

/** Writes of one account that may still arrive, in the course of a turn (core/late.ts). */

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

/**
 * A change whose outcome is not on record is closed by what the directory says now. What it does not show may still
 * arrive; and what it does show may be the work of an earlier one of the same kind that came late.
 */
export async function recover(
  claim: Claim,
  observed: ObservedState,
  late: LateState,
  ports: Ports,
): Promise<OurRecord> {
  const { open } = claim
  if (open === null) return claim.ours
  const wasApplied = await ports.ledger.wasApplied(open)
  const recovered = recoverChange(open, observed, claim.ours, wasApplied)
  if (!wasApplied && (await isPerhapsTheirs(open, recovered, observed, ports))) {
    return leftToOthers(claim, open, late, ports)
  }
  const { result, owned } = recovered
  const isSure = wasApplied || (result === 'applied' && !late.changes.some(({ change }) => change.kind === open.kind))
  const untilMs = isSure ? null : ports.clock.nowMs() + MAY_ARRIVE_MS
  await ports.ledger.recover(claim, open, result, owned, untilMs)
  if (untilMs !== null) {
    late.changes = [...late.changes, { change: open, untilMs, isOthers: false }]
    late.untilMs = Math.max(untilMs, late.untilMs ?? 0)
  }
  return { lock: owned }
}

async function isPerhapsTheirs(
  open: Change,
  recovered: Recovered,
  observed: ObservedState,
  { directory }: Pick<Ports, 'directory'>,
): Promise<boolean> {
  const dns = placesLeft(open, observed)
  if (dns.length === 0) return false
  const writers = await directory.lastWriters(observed.key, dns)
  return mayBeOthers(open, recovered, observed, [...writers.values()])
}

/** What stands there counts as theirs until it is gone or a person adopts it, as the lock of a write that came late. */
async function leftToOthers(claim: Claim, open: Change, late: LateState, { ledger, clock }: Ports): Promise<OurRecord> {
  const untilMs = clock.nowMs() + MAY_ARRIVE_MS
  const { lock: before } = claim.ours
  const lock = open.kind === 'unlock' ? null : before
  // Before the change is closed: whoever takes over in between comes here again.
  if (before !== null && lock === null) {
    await ledger.relabel(claim, before, null, 'superseded', { code: 'lock-not-ours', params: {} })
  }
  await ledger.recover(claim, open, 'not-applied', lock, untilMs)
  await ledger.countAsOthers(claim, open)
  late.changes = [...late.changes, { change: open, untilMs, isOthers: true }]
  late.untilMs = Math.max(untilMs, late.untilMs ?? 0)
  return { lock }
}

/** @param isBehind whether our lock is gone cannot be told: no unlock of ours is taken for the reason then */
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

/** @param last what the last conclusion rests on; null: the turn did not come to one, or the account is gone */
export function withLate(
  outcome: Outcome,
  claim: Claim,
  late: LateState,
  last: { readonly observed: ObservedState; readonly ours: OurRecord } | null,
  nowMs: number,
): Outcome {
  const isConclusive = last !== null || outcome.isGone === true
  const order = claim.adopts !== null && isConclusive ? { isAdoptionOver: true as const } : {}
  if (late.untilMs === null) return { ...outcome, ...order }
  const times = [...late.changes, { untilMs: late.untilMs, isOthers: false }]
  const nextMs = nextLateLookMs(times, nowMs) ?? Infinity
  const againAtMs = Math.min(nextMs, outcome.againAtMs ?? Infinity)
  const looked = isConclusive
    ? { lateLook: lateLook(late.changes, last?.observed ?? null, last?.ours ?? { lock: null }, nowMs) }
    : {}
  return { ...outcome, ...order, ...looked, againAtMs: againAtMs === Infinity ? null : againAtMs }
}

/** What may have changed without a sign of it is read afresh. */
export function canReuseReading({ attempts, open, lateUntilMs, adopts }: Claim): boolean {
  return attempts === 0 && open === null && lateUntilMs === null && adopts === null
}

/** It rests on our lock's being gone. */
export function saysGone(planned: Planned): boolean {
  const { kind } = planned
  return kind === 'foreign-unlock' || kind === 'forget' || (kind === 'arrived' && planned.late.change.kind === 'unlock')
}
