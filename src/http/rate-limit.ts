import { isIPv6 } from 'node:net'

/** Token buckets: the number of one second may come at once, after that so many a second. */

/** Addresses remembered at most; the one with the oldest request is dropped. */
const ADDRESSES_MAX = 10_000

export interface RateLimit {
  /** @returns false when this address has used up its share; takes one from it otherwise */
  admit(address: string, nowMs: number): boolean
}

interface Bucket {
  left: number
  atMs: number
}

export function newRateLimit(perSecondMax: number): RateLimit {
  const buckets = new Map<string, Bucket>()
  return {
    admit(address, nowMs) {
      const key = networkOf(address)
      const before = buckets.get(key)
      const passedMs = before === undefined ? 0 : Math.max(0, nowMs - before.atMs)
      const left = Math.min(perSecondMax, (before?.left ?? perSecondMax) + (passedMs / 1000) * perSecondMax)
      buckets.delete(key)
      buckets.set(key, { left: left >= 1 ? left - 1 : left, atMs: nowMs })
      if (buckets.size > ADDRESSES_MAX) forgetOldest(buckets)
      return left >= 1
    },
  }
}

function forgetOldest(buckets: Map<string, Bucket>): void {
  const [oldest] = buckets.keys()
  if (oldest !== undefined) buckets.delete(oldest)
}

/** One IPv6 host has a whole /64 to call from. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('::', 2)
  const groups = head.split(':').filter((group) => group !== '')
  if (tail !== undefined) {
    const rest = tail.split(':').filter((group) => group !== '')
    while (groups.length + rest.length < 8) groups.push('0')
    groups.push(...rest)
  }
  return groups.slice(0, 4).join(':')
}
