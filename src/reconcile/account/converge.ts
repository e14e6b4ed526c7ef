import type { Conclusion } from '../../core/account/outcome.ts'
import { plan, type Planned } from '../../core/account/plan.ts'
import { applyChange } from './apply-change.ts'
import { confirmGone, waitsForHolder } from './confirm.ts'
import { conclude, failed, keepsChanging } from './conclude.ts'
import { lateOptions, saysGone } from '../ledger/late.ts'
import { look, optionsOf, unlessLost, wantedOf, withDuplicates, type Turn } from './turn.ts'
import { followUnlock, forget, recordFound, relabel } from './record-steps.ts'

/** A change makes way for the next; more than this in one turn means that something else keeps changing the account. */
const ROUNDS_MAX = 200

type Kinds = { [P in Planned as P['kind']]: P }
type PlannedOf<K extends keyof Kinds = keyof Kinds> = { [P in K]: { readonly kind: P } & Kinds[P] }[K]
/** Null: there may be more to do. */
type Steps = { [K in keyof Kinds]: (turn: Turn, planned: PlannedOf<K>) => Promise<Conclusion | null> }

const STEPS: Steps = {
  change: applyChange,
  arrived: recordFound,
  others: recordFound,
  adopt: recordFound,
  relabel,
  forget,
  'foreign-unlock': followUnlock,
  'in-step': conclude,
  conflict: conclude,
  'foreign-lock': conclude,
  'not-effective': conclude,
}

/** Fails with `lease-lost` alone. */
export async function converge(turn: Turn): Promise<Conclusion> {
  try {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      // A slow directory must not cost the lease: another worker would take the account over in the middle of a change.
      await turn.ports.queue.renew(turn.claim)
      const planned = await confirmed(turn, await nextPlan(turn))
      const conclusion = planned === null ? null : await take(turn, planned)
      if (conclusion !== null) return conclusion
    }
    return keepsChanging(turn)
  } catch (thrown) {
    return failed(turn, unlessLost(thrown))
  }
}

function take<K extends keyof Kinds>(turn: Turn, planned: PlannedOf<K>): Promise<Conclusion | null> {
  return STEPS[planned.kind](turn, planned)
}

async function nextPlan(turn: Turn): Promise<Planned> {
  const { observed, ours, late, gone, refused, ports } = turn
  const arriving = await lateOptions(late, observed, ours, gone === 'behind', ports)
  return plan(wantedOf(turn), observed, ours, { ...optionsOf(turn), ...arriving, withoutLock: refused !== null })
}

/** Null: the state that the plan rests on was read anew, and a new plan is to be made. */
async function confirmed(turn: Turn, planned: Planned): Promise<Planned | null> {
  // A write is safe on an older reading, by compare and swap; every other conclusion needs a fresh one.
  if (!turn.isFresh && planned.kind !== 'change') {
    turn.observed = await look(turn, 0)
    turn.isFresh = true
    return null
  }
  if (turn.gone !== null || !saysGone(planned)) return planned
  const found = await confirmGone(turn.claim, turn.observed, turn.lockWrite?.server ?? null, turn.ports)
  turn.gone = found.kind
  if (found.kind === 'sure') return planned
  if (found.kind === 'behind' && planned.kind === 'forget') throw waitsForHolder(found.holders)
  if (found.kind === 'elsewhere') turn.observed = await withDuplicates(turn, found.observed)
  return null
}
