import type { Reason, ReasonCode } from '../../core/reasons/reason.ts'

/**
 * Something that needs an administrator's attention: reported once, however often it is observed. `breaker`: locks are
 * pending in the review queue; the subject names the limit. `protected`: an account that is never locked has holds; the
 * subject is the directory. `accounts-gone`: many accounts of a directory are no longer found; likewise. All others:
 * see core/reasons/reason.ts.
 */
export type FindingKind = 'breaker' | 'protected' | 'accounts-gone' | ReasonCode

export interface Finding {
  readonly kind: FindingKind
  /** What it is about: a directory, an account key, a serial; '' for the whole. One finding a kind and subject is open. */
  readonly subject: string
  /** One sentence for people. */
  readonly reason: string
  /** What to do; '' where there is nothing to do, or where the sentence states it. */
  readonly fix: string
  /** The parameters of its code; null for those that have none. */
  readonly params: object | null
  /** While it is open, `status` is not ok. */
  readonly isAttention: boolean
  /** When it was first observed, in milliseconds since 1970. */
  readonly firstMs: number
}

/** A finding to be raised: the reason, and its subject. */
export interface FindingDraft {
  readonly subject: string
  readonly reason: Reason
}

/** The source of the log's and the mails' findings. */
export interface FindingPort {
  /** Those that last, the oldest first. */
  open(): Promise<readonly Finding[]>
  /** Those that were not reported yet, ended or not. */
  untold(): Promise<readonly Finding[]>
  reported(findings: readonly Finding[]): Promise<void>
  /** Opens it, or updates the parameters of the open one; reported once. */
  raise(draft: FindingDraft): Promise<void>
  /** Ends it where it is open. */
  end(code: ReasonCode, subject: string): Promise<void>
  /** Makes exactly these the open findings of the code: raises each, and ends all others of it. */
  sync(code: ReasonCode, drafts: readonly FindingDraft[]): Promise<void>
}
