import { dryRun } from '../../core/account/dry-run.ts'
import type { ChangeDraft } from '../../core/account/change.ts'
import type { PlanOptions } from '../../core/account/plan.ts'
import { underProtection } from '../../core/account/protection.ts'
import type { DesiredState } from '../../core/account/state.ts'
import { knownOf } from '../duplicate-serials.ts'
import { releasedBy } from '../external-unlock.ts'
import type { Turn } from './turn.ts'

/** Races after which places of ours that the configuration no longer names are left out of a release. */
const SKIP_UNSEEN_AFTER = 2

/** What the account is driven to. */
export function wantedOf({ claim, desired, observed }: Turn): DesiredState {
  return underProtection(releasedBy(claim.adopts, knownOf(desired, observed)), observed)
}

/** A lock that no server in reach has, and whose server does not answer, is written again: nobody took it away. */
export function optionsOf({ races, gone, ports: { policy } }: Turn): PlanOptions {
  const options = { ...policy, skipUnseen: races >= SKIP_UNSEEN_AFTER }
  return gone === 'behind' ? { ...options, onForeignUnlock: 'relock' } : options
}

/** All that waits with a change that a guard stopped, that one first. */
export function allThatWaits(turn: Turn, change: ChangeDraft): ChangeDraft[] {
  return dryRun(change, wantedOf(turn), turn.observed, turn.ours, optionsOf(turn))
}
