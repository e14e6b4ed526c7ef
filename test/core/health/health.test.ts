import { describe, expect, test } from 'vitest'
import {
  healthGravity,
  healthText,
  isFit,
  isServed,
  machineReasons,
  serviceReasons,
  spaceOf,
  type HealthReason,
  type MachineSigns,
} from '../../../src/core/health/health.ts'
import { healthReport, parseHealthReport, reported, type NewReport } from '../../../src/core/health/health-file.ts'
import { pluginResult } from '../../../src/core/health/monitoring.ts'

const NOW = 1_000_000_000_000
const MIB = 1024 * 1024
const WELL: MachineSigns = {
  spool: { dir: '/spool', closed: null, files: 0, oldestMs: null },
  disks: [{ place: '/var', freeBytes: 5_000 * MIB, sizeBytes: 10_000 * MIB, hasInodes: true }],
}
const NUMBERS = {
  locked: 2,
  held: 2,
  queueDue: 0,
  eventsWaiting: 0,
  accountsPending: 0,
  review: 0,
  spoolFiles: 0,
  spoolOldestSeconds: 0,
  freeBytes: 5,
  lastFailedIntakeSeconds: null,
  lastFailedWriteSeconds: null,
  sourceReadSeconds: null,
}
const BASE: NewReport = { state: 'serving', pid: 7, pidNamespace: '1', store: 'ab', validSeconds: 45, numbers: NUMBERS }
const NOTHING_FAILS = { intake: null, store: null, isStoreGone: false }

function codes(reasons: readonly HealthReason[]): string[] {
  return reasons.map(({ code }) => code)
}

describe('this machine', () => {
  test('a file that lies in the spool for more than a minute while a daemon serves is found by its age', () => {
    const spool = { ...WELL.spool, files: 3, oldestMs: NOW - 61_000 }
    expect(codes(machineReasons({ ...WELL, spool }, null, NOW, true))).toEqual(['spool-old'])
    expect(codes(machineReasons({ ...WELL, spool }, null, NOW, false))).toEqual([])
    const young = { ...spool, oldestMs: NOW - 59_000 }
    expect(codes(machineReasons({ ...WELL, spool: young }, null, NOW, true))).toEqual([])
  })

  test('what fails in the daemon makes it unfit', () => {
    const live = {
      intake: { code: 'disk-full', sinceMs: NOW - 5_000 },
      store: { code: 'disk-full', sinceMs: NOW },
      isStoreGone: false,
    }
    const reasons = machineReasons(WELL, live, NOW, true)
    expect(codes(reasons)).toEqual(['store-not-written', 'intake-fails'])
    expect(isFit(reasons)).toBe(false)
    expect(reasons.map(healthText)[1]).toBe('events cannot be put on record for 5 s (disk-full)')
  })

  test('a store whose file was taken away makes it unfit, by its own code', () => {
    const reasons = machineReasons(WELL, { intake: null, store: null, isStoreGone: true }, NOW, true)
    expect(codes(reasons)).toEqual(['store-gone'])
    expect(isFit(reasons)).toBe(false)
    expect(reasons.map(healthGravity)).toEqual(['critical'])
  })

  test('a small disk is full by its share, a large one by its bytes, and one without inodes is', () => {
    const disk = { place: '/x', hasInodes: true }
    expect(spaceOf({ ...disk, freeBytes: MIB, sizeBytes: 6 * MIB })).toBe('low')
    expect(spaceOf({ ...disk, freeBytes: MIB / 4, sizeBytes: 6 * MIB })).toBe('full')
    expect(spaceOf({ ...disk, freeBytes: 63 * MIB, sizeBytes: 100_000 * MIB })).toBe('full')
    expect(spaceOf({ ...disk, freeBytes: 65 * MIB, sizeBytes: 100_000 * MIB })).toBe('low')
    expect(spaceOf({ place: '/x', hasInodes: false, freeBytes: 9_000 * MIB, sizeBytes: 10_000 * MIB })).toBe('full')
  })
})

describe('who does the work', () => {
  const drain = { endedMs: NOW, isRecent: true, outcome: 'done', reason: '' } as const
  const served = { untilMs: NOW - 10_000, pid: 9, wasStopped: false }

  test('drains before the daemon ended do not count', () => {
    const lastDrain = { ...drain, endsMs: [NOW - 30_000, NOW - 20_000, NOW] }
    expect(isServed({ isDaemonAlive: false, served, lastDrain })).toBe(false)
    const after = { ...drain, endsMs: [NOW - 3_000, NOW - 2_000, NOW] }
    expect(isServed({ isDaemonAlive: false, served, lastDrain: after })).toBe(true)
    expect(codes(serviceReasons({ isDaemonAlive: false, served, lastDrain: after }, NOW))).toEqual(['daemon-died'])
    const stopped = { ...served, wasStopped: true }
    expect(serviceReasons({ isDaemonAlive: false, served: stopped, lastDrain: after }, NOW)).toEqual([])
  })
})

describe('the health file', () => {
  test('holds no text of a parameter but codes', () => {
    const reasons: HealthReason[] = [
      { code: 'server-trouble', params: { directory: 'corp', url: 'ldap://x', is: 'down', forMs: 5, isWhole: true } },
      { code: 'lock-trouble', params: { kind: 'removed', count: 2, account: 'alice', reason: 'her lock' } },
      { code: 'source-unread', params: { forMs: 1, reason: 'https://pi.example.org' } },
      { code: 'drain-failed', params: { reason: 'uid=alice' } },
      { code: 'disk-full', params: { place: '/var/lib/lockstep', freeBytes: 0 } },
      { code: 'finding', params: { kind: 'source-changed', count: 1 } },
      { code: 'dry-run', params: { of: 'directory', name: 'corp' } },
    ]
    expect(JSON.stringify(reported(reasons))).not.toMatch(/corp|ldap:|alice|her lock|pi\.example|var/)
    expect(reported(reasons)[0]).toEqual({
      code: 'server-trouble',
      gravity: 'critical',
      params: { is: 'down', forMs: 5 },
    })
    expect(reported(reasons)[1]?.params).toEqual({ kind: 'removed', count: 2 })
    expect(reported(reasons).at(-1)).toEqual({ code: 'dry-run', gravity: 'warning', params: { of: 'directory' } })
    expect(healthGravity({ code: 'source-unread', params: { forMs: 1, reason: '' } })).toBe('warning')
    expect(healthGravity({ code: 'source-unread', params: { forMs: 400_000, reason: '' } })).toBe('critical')
  })

  test('is read as it was written, and nothing else is', () => {
    const report = healthReport(BASE, [], NOTHING_FAILS, NOW)
    expect(parseHealthReport(JSON.stringify(report))).toEqual(report)
    for (const text of ['', 'null', '{', '{"version":1}', '{"version":2}', '[]'])
      expect(parseHealthReport(text)).toBeNull()
  })

  test('ends the plugin with 0, 1, 2 or 3, and an old one is critical', () => {
    const well = healthReport(BASE, [], NOTHING_FAILS, NOW)
    const exits = (report = well, nowMs = NOW + 1_000, isGone: boolean | null = false): number =>
      pluginResult(report, nowMs, isGone).exit
    expect(exits()).toBe(0)
    expect(exits(well, NOW + 44_000)).toBe(0)
    expect(exits(well, NOW + 46_000)).toBe(2)
    expect(exits(well, NOW + 1_000, true)).toBe(2)
    expect(exits(well, NOW - 46_000)).toBe(3)
    expect(exits({ ...well, state: 'stopped' })).toBe(2)
    const gone = healthReport({ ...BASE, state: 'stopped' }, [{ code: 'store-gone', params: {} }], NOTHING_FAILS, NOW)
    expect(pluginResult(gone, NOW, false)).toMatchObject({ exit: 2, line: expect.stringContaining('store-gone') })
    const warned = healthReport(BASE, [{ code: 'events-waiting', params: { count: 1 } }], NOTHING_FAILS, NOW)
    expect(exits(warned)).toBe(1)
    const full = healthReport(BASE, [{ code: 'disk-full', params: { place: '/', freeBytes: 0 } }], NOTHING_FAILS, NOW)
    expect(exits(full)).toBe(2)
  })

  test('a line that somebody put into it cannot add performance data', () => {
    const evil = healthReport(BASE, [], NOTHING_FAILS, NOW)
    const reasons = [{ code: 'x | y=1\nz', gravity: 'warning' as const, params: { code: 'a|b' } }]
    const { line } = pluginResult({ ...evil, reasons, health: 'attention' }, NOW, false)
    expect(line.split('|')).toHaveLength(2)
    expect(line).not.toContain('\n')
  })
})
