import { age } from '../core/age.ts'
import type { ServersSeen } from '../store/server-states.ts'
import type { LockFinding } from '../store/verification-reports.ts'

/** What `status` says of the servers of the directories, and of locks that do not bite everywhere. */

export function serverTroubles(seen: readonly ServersSeen[], nowMs: number): string[] {
  return seen.flatMap(({ directory, servers }) => {
    return servers.flatMap(({ url, is, sinceMs }) => {
      if (is === 'up' || is === 'untried') return []
      return [`directory ${directory}: ${url} is ${is} for ${age(nowMs - sinceMs)}`]
    })
  })
}

export function lockTrouble(findings: readonly LockFinding[], count: number): string[] {
  const [first] = findings
  if (first === undefined) return []
  const others = count > 1 ? ` (and ${count - 1} more)` : ''
  return [`${first.login ?? first.dn}: ${first.reason}${others}`]
}
