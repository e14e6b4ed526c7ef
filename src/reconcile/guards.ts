import type { ChangeDraft } from '../core/account/change.ts'
import { dryRunOf, guard, type GuardInput, type Verdict } from '../core/guards/guard.ts'
import { directoryOf } from '../core/names.ts'
import type { GuardSettings } from '../core/settings/settings.ts'
import type { Clock } from '../ports/clock.ts'
import type { BreakerRefusal, Claim, GuardPort } from '../ports/store/store.ts'

export interface GuardedPorts {
  readonly guards: Pick<GuardPort, 'pauseOf'>
  readonly guardSettings: Pick<GuardSettings, 'dryRun'>
  readonly clock: Clock
}

/** A guard held a change back. */
export type Refusal = Exclude<Verdict, { kind: 'go' }> | ({ readonly kind: 'breaker' } & BreakerRefusal)
/** What stops a change in the last moment. */
export type HeldBack = Extract<Refusal, { kind: 'breaker' | 'paused' }>

/**
 * The guards' present verdict on a write for the account; the breaker is asked with the row of the change.
 * @param change null: a write to privacyIDEA
 * @param unread why it is not known whether the account is protected; null: it is known, or does not matter
 */
export async function verdictOn(
  change: Pick<ChangeDraft, 'kind'> | null,
  { key, realm }: Pick<Claim, 'key' | 'realm'>,
  { guards, guardSettings, clock }: GuardedPorts,
  unread: GuardInput['unread'] = null,
): Promise<Verdict> {
  const directory = directoryOf(key)
  return guard(change, {
    pause: await guards.pauseOf(directory, clock.nowMs()),
    dryRun: dryRunOf(guardSettings.dryRun, directory, realm),
    unread,
  })
}
