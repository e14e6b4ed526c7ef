import { toAppError } from '../core/error.ts'
import type { Outcome, AccountStatus } from '../core/account/outcome.ts'
import { reasonText } from '../core/reasons/reason.ts'
import type { IntakePort } from '../ports/intake.ts'
import type { Claim } from '../ports/store/store.ts'
import { Worker } from '../reconcile/worker.ts'
import { FindingNotifier } from './finding-notifier.ts'
import { errorFields, type Log } from './log.ts'
import type { System } from './system.ts'

/** The worker over an opened system, and the intake for its events. */
export interface Engine {
  readonly worker: Worker
  readonly intake: IntakePort
  /** Lets the work in progress finish, and reports the findings. */
  stop(): Promise<void>
  /** Reports findings of other processes that were not reported yet. */
  notifyFindings(): Promise<void>
}

/** @param isNotifying false for a command that reports the status of its accounts itself */
export function startEngine(system: System, log: Log, isNotifying = true): Engine {
  const findings = new FindingNotifier(system, log)
  const worker = new Worker(system.ports, {
    giveUpAfterMs: system.settings.retention.eventsMs,
    onOutcome: isNotifying ? newNotifier(system, log, findings) : () => undefined,
    onLeaseLost: ({ key }) => log.warn('another worker took over the account', { account: key, code: 'lease-lost' }),
    onError: (thrown) => log.error('work failed', errorFields(toAppError(thrown))),
  })
  const intake: IntakePort = {
    async take(events, refused) {
      const taken = system.store.inbox.take(events, refused)
      const offered = worker.offer(events)
      await taken
      if (offered < events.length) worker.wake()
    },
  }
  worker.start()
  return {
    worker,
    intake,
    async stop() {
      await worker.stop()
      if (isNotifying) await findings.now()
    },
    notifyFindings: () => findings.now(),
  }
}

/** A guard that holds everything back is reported at intervals, not for each account. */
const GUARDS: readonly AccountStatus[] = ['breaker', 'paused', 'dry-run']
const GUARD_REPORT_EVERY_MS = 60_000
/** Reported as a finding, once for all accounts. */
const FOUND: readonly AccountStatus[] = ['breaker', 'protected']

/** Reports only what needs attention; a failure is reported when it is new, not at each try. */
function newNotifier(system: System, log: Log, findings: FindingNotifier): (claim: Claim, outcome: Outcome) => void {
  const reportedMs = new Map<string, number>()
  return (claim, outcome) => {
    if (outcome.lockRemoved !== undefined) {
      const { reason, fix } = outcome.lockRemoved
      log.warn('our lock was removed', { account: claim.key, code: reason.code, reason: reasonText(reason), fix })
    }
    // An account that the breaker holds back in privacyIDEA alone is in no review, and no finding.
    if (FOUND.includes(outcome.standing) && outcome.isDirectoryInStep !== true) return findings.soon()
    if (outcome.standing === 'in-step' || (outcome.standing === 'failed' && claim.attempts > 0)) return
    const nowMs = system.clock.nowMs()
    const group = groupOf(outcome)
    if (group === 'gone') findings.soon()
    if (group !== null) {
      if (nowMs - (reportedMs.get(group) ?? 0) < GUARD_REPORT_EVERY_MS) return
      reportedMs.set(group, nowMs)
    }
    const code = outcome.errorCode ?? outcome.reason?.code ?? null
    log.warn(`account is ${outcome.standing}`, { account: claim.key, code, reason: reasonText(outcome.reason) })
  }
}

/** The common cause of many accounts at once; null: each is reported separately. */
function groupOf({ standing, errorCode, isProtectionUnread }: Outcome): string | null {
  if (errorCode === 'entry-not-found') return 'gone'
  if (isProtectionUnread === true) return 'unread'
  return GUARDS.includes(standing) ? standing : null
}
