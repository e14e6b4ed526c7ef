import { toAppError } from '../core/error.ts'
import type { Outcome } from '../core/outcome.ts'
import type { IntakePort } from '../ports/intake.ts'
import type { Claim } from '../ports/store.ts'
import { Worker } from '../reconcile/worker.ts'
import { errorFields, type Log } from './log.ts'
import type { System } from './system.ts'

/** The worker over an opened system, and the door through which events come to it. */
export interface Engine {
  readonly worker: Worker
  readonly intake: IntakePort
}

export function startEngine(system: System, log: Log): Engine {
  const worker = new Worker(system.ports, {
    giveUpAfterMs: system.settings.retention.eventsMs,
    onOutcome: (claim, outcome) => tell(log, claim, outcome),
    onError: (thrown) => log.error('work failed', errorFields(toAppError(thrown))),
  })
  const intake: IntakePort = {
    async take(events, refused) {
      await system.store.inbox.take(events, refused)
      worker.wake()
    },
  }
  worker.start()
  return { worker, intake }
}

/** Only what somebody should look at; a failure is told when it is new, not at each try. */
function tell(log: Log, claim: Claim, outcome: Outcome): void {
  if (outcome.standing === 'in-step') return
  if (outcome.standing === 'failed' && claim.attempts > 0) return
  log.warn(`account is ${outcome.standing}`, { account: claim.key, reason: outcome.reason })
}
