import type { VerificationReport } from '../../store/reports/verification-reports.ts'
import { moment } from '../terminal/moment.ts'
import { plain } from '../terminal/output.ts'

/** Whether a lock is there and enforced on every server, in a few words. */
export function verificationText(report: VerificationReport | null): string {
  if (report === null) return '-'
  const { wanted, checkedMs, effective, standing, verified, of } = report
  if (wanted === 'removed') return 'taken away'
  if (checkedMs === null) return 'not looked at yet'
  if (wanted === 'open') return `open on ${standing} of ${of}`
  if (effective === 'no') return 'is not enforced'
  if (effective === 'unknown') return `on ${standing} of ${of}`
  return `${verified} of ${of}`
}

/** The lines of `show`, each with its label. */
export function verificationLines(report: VerificationReport): (readonly [label: string, text: string])[] {
  const { wanted, written, effective, checkedMs, servers, problem } = report
  const look = checkedMs === null ? '' : `, seen ${moment(checkedMs)}`
  const what = wanted === 'locked' ? [`written: ${written}`, `effective: ${effective}`] : []
  const lines: [string, string][] = [['proof', `${[...what, verificationText(report)].join(', ')}${look}`]]
  for (const { url, reason, otherLock = '' } of servers) {
    for (const text of [reason, otherLock]) if (text !== '') lines.push(['', `${plain(url)}: ${plain(text)}`])
  }
  if (problem !== null) {
    lines.push(['finding', `${problem.kind} since ${moment(problem.sinceMs)}: ${plain(problem.reason)}`])
    lines.push(['fix', plain(problem.fix)])
  }
  return lines
}
