import { otherLockReason } from '../../core/account/slot.ts'
import { shownReason, type ReasonCode } from '../../core/reasons/reason.ts'
import type { OtherLock } from '../../core/account/state.ts'
import { otherLockFromRow } from '../rows/rows.ts'
import type { AccountRow } from '../schema/schema.ts'

/** Somebody else's lock at an account, for people. */
export interface OtherLockReport {
  /** `unknown`: whether it locks cannot be judged. */
  readonly is: OtherLock['is']
  readonly cause: OtherLock['cause']
  readonly attribute: string
  /** When it ends by itself, in milliseconds since 1970; null: not by itself, or not known. */
  readonly untilMs: number | null
  readonly reason: string
  readonly reasonCode: ReasonCode | null
  readonly reasonParams: object
}

export function otherLockReport(row: AccountRow): OtherLockReport | null {
  const other = otherLockFromRow(row.other_lock)
  if (other === null) return null
  const { is, cause, attribute, untilUs } = other
  const untilMs = untilUs === null ? null : Math.ceil(untilUs / 1000)
  return { is, cause, attribute, untilMs, ...shownReason(otherLockReason(other, row.owned_lock !== null)) }
}
