import type { Change } from '../../core/account/change.ts'
import { MAY_ARRIVE_MS } from '../../core/account/late.ts'
import { mayBeOthers, placesLeft, recoverChange, type Recovered } from '../../core/account/recover.ts'
import type { ObservedState, OurRecord } from '../../core/account/state.ts'
import type { Claim } from '../../ports/store/store.ts'
import type { Ports } from '../ports.ts'
import type { LateState } from './late.ts'

/**
 * A change whose outcome is not on record is closed by the present state of the directory. What that does not show may
 * still arrive; and what it does show may be the work of an earlier one of the same kind that came late.
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

/** The value there counts as theirs until it is gone or a person adopts it, as the lock of a write that came late. */
async function leftToOthers(claim: Claim, open: Change, late: LateState, { ledger, clock }: Ports): Promise<OurRecord> {
  const untilMs = clock.nowMs() + MAY_ARRIVE_MS
  const { lock: before } = claim.ours
  const lock = open.kind === 'unlock' ? null : before
  // Before the change is closed: a worker that takes over in between comes here as well.
  if (before !== null && lock === null) {
    await ledger.relabel(claim, before, null, 'superseded', { code: 'lock-not-ours', params: {} })
  }
  await ledger.recover(claim, open, 'not-applied', lock, untilMs)
  await ledger.countAsOthers(claim, open)
  late.changes = [...late.changes, { change: open, untilMs, isOthers: true }]
  late.untilMs = Math.max(untilMs, late.untilMs ?? 0)
  return { lock }
}
