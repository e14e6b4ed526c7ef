import type { AccountReport } from '../../store/reports/reports.ts'
import { moment } from '../terminal/moment.ts'
import { plain } from '../terminal/output.ts'

/** A note about a lock whose effect is not proven; null where none is needed. */
export function effectNote({ effective, proof }: Pick<AccountReport, 'effective' | 'proof'>): string | null {
  if (effective === 'unknown')
    return 'whether the lock locks its user out is not known; lockstep doctor shows what to do'
  if (effective !== 'probed' || proof === null) return null
  return `by a trial: a lock kept a test account out on ${moment(proof.atMs)} at ${plain(proof.url)}`
}

/** A lock by others, in a line. */
export function otherLockNote({ reason, untilMs }: NonNullable<AccountReport['otherLock']>): string {
  return `${plain(reason)}${untilMs === null ? '' : `; until ${moment(untilMs)}`}`
}

/** Who locked it, in one or two words. */
export function lockedBy({ lockedByUs, otherLock }: Pick<AccountReport, 'lockedByUs' | 'otherLock'>): string {
  const others = otherLock === null ? null : otherLock.is === 'locked' ? 'by others' : 'unknown'
  if (lockedByUs) return others === null ? 'by us' : `by us, ${others}`
  return others ?? '-'
}
