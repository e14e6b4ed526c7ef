import type { AccountReport } from '../../store/reports/reports.ts'
import { moment } from '../terminal/moment.ts'

/** The time from which an account has had its oldest hold. */
export function sinceOf({ holds }: Pick<AccountReport, 'holds'>): string {
  return holds.length === 0 ? '-' : moment(Math.min(...holds.map(({ sinceMs }) => sinceMs)))
}

/** Why it is locked, reasons of one kind once, and the reason of its status. */
export function reasonsOf({ holds, standingReason }: Pick<AccountReport, 'holds' | 'standingReason'>): string {
  const kinds = new Map<string, string[]>()
  for (const { reason, reasonCode, kind } of holds) {
    const name = reasonCode === null || reasonCode === 'plain-text' ? `${kind} ${reason}` : reasonCode
    kinds.set(name, [...(kinds.get(name) ?? []), reason])
  }
  const texts = [...kinds.values()].map(([first = '', ...others]) => {
    return others.length === 0 ? first : `${first}, and ${others.length} more like it`
  })
  return [...new Set([...texts, standingReason])].filter((text) => text !== '').join('; ')
}
