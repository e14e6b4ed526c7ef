import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseLogin, parseRealm, parseSerial, type Serial } from '../../../src/core/names.ts'
import { newRehearsal, type AuditRow, type KnownToken, type RehearsedLock } from '../../../src/core/source/rehearsal.ts'
import {
  adviseBreaker,
  breakerLines,
  countsIn,
  lockedAtOnce,
  peak,
  peaks,
  peaksIn,
} from '../../../src/core/source/rehearsal-report.ts'
import { serialOf } from '../arbitrary.ts'

const OPTIONS = {
  lockWhen: 'any-token-locked',
  tellsFull: true,
  failuresMaxDefault: 10,
  locksMax: 1000,
  trackedMax: 1000,
} as const
const REALM = parseRealm('r1')

interface Said {
  readonly serial?: string
  readonly login?: string
  readonly detail?: string
}

/** A log, row by row; each row is a second after the one before. */
class Log {
  readonly rows: AuditRow[] = []

  add(action: string, isSuccess: boolean, info: string, { serial = '', login = '', detail = '' }: Said): this {
    const serials = serial.split(',').flatMap((text) => parseSerial(text) ?? [])
    const user = parseLogin(login)
    const realm = user === null ? null : REALM
    const atMs = (this.rows.length + 1) * 1000
    const authentication = isSuccess ? 'ACCEPT' : 'REJECT'
    this.rows.push({ atMs, action, isSuccess, authentication, serials, login: user, realm, detail, info })
    return this
  }

  wrongOtp(said: Said, times = 1): this {
    for (let count = 0; count < times; count += 1) this.add('POST /validate/check', false, 'wrong otp value', said)
    return this
  }

  wrongPin(login: string, times = 1): this {
    for (let count = 0; count < times; count += 1) this.add('POST /validate/check', false, 'wrong otp pin', { login })
    return this
  }

  full(said: Said): this {
    return this.add('POST /validate/check', false, 'Failcounter exceeded', said)
  }

  good(said: Said): this {
    return this.add('POST /validate/check', true, 'matching 1 tokens', said)
  }

  done(action: string, said: Said): this {
    return this.add(action, true, '', said)
  }

  limit(serial: string, max: number): this {
    return this.add('POST /token/set', true, '', { serial, detail: `max_failcount=${max}, ` })
  }
}

function token(serial: string, login: string | null, failuresMax = 3, isFull = false): KnownToken {
  return {
    serial: serialOf(serial),
    login: login === null ? null : parseLogin(login),
    realm: login === null ? null : REALM,
    failuresMax,
    isFull,
  }
}

function replay(
  log: Log,
  known: readonly KnownToken[],
  options: Partial<typeof OPTIONS> = {},
): readonly RehearsedLock[] {
  const rehearsal = newRehearsal(known, { ...OPTIONS, ...options })
  for (const row of log.rows) rehearsal.take(row)
  return rehearsal.finish()
}

/** `LOGIN FROM-TO`, in seconds; `?` marks an end that no row tells, `*` what privacyIDEA itself confirmed. */
function shown(locks: readonly RehearsedLock[]): string[] {
  return locks.map(({ login, fromMs, toMs, end, isConfirmed }) => {
    const to = toMs === null ? '' : String(toMs / 1000)
    return `${login} ${fromMs / 1000}-${to}${end === 'unseen' ? '?' : ''}${isConfirmed ? '*' : ''}`
  })
}

const ALICE = token('A1', 'alice')
const BOTH = [token('A1', 'alice'), token('A2', 'alice')]

describe('when an account would have been locked', () => {
  const rows: { title: string; log: Log; known?: KnownToken[]; locks: string[] }[] = [
    { title: 'too few failures', log: new Log().wrongOtp({ serial: 'A1', login: 'alice' }, 2), locks: [] },
    { title: 'the third of three', log: new Log().wrongOtp({ serial: 'A1', login: 'alice' }, 3), locks: ['alice 3-'] },
    { title: 'wrong PINs, without a serial', log: new Log().wrongPin('alice', 3), locks: ['alice 3-'] },
    {
      title: 'failures and a success between them',
      log: new Log().wrongPin('alice', 2).good({ serial: 'A1', login: 'alice' }).wrongPin('alice', 2),
      locks: [],
    },
    {
      title: 'a reset ends it',
      log: new Log().wrongPin('alice', 3).done('POST /token/reset', { serial: 'A1', login: 'alice' }),
      locks: ['alice 3-4'],
    },
    {
      title: 'a reset by user ends it',
      log: new Log().wrongPin('alice', 3).done('POST /token/reset', { login: 'alice' }),
      locks: ['alice 3-4'],
    },
    {
      title: 'privacyIDEA says full before the count is up: failures before the log began',
      log: new Log().wrongPin('alice').full({ login: 'alice' }),
      locks: ['alice 2-*'],
    },
    {
      title: 'attempts while locked begin nothing anew, and confirm it',
      log: new Log().wrongPin('alice', 3).full({ login: 'alice' }).full({ login: 'alice' }),
      locks: ['alice 3-*'],
    },
    {
      title: 'a full token that fails as usual was emptied by its clear timeout',
      log: new Log().wrongPin('alice', 3).full({ login: 'alice' }).wrongOtp({ serial: 'A1', login: 'alice' }),
      locks: ['alice 3-5?*'],
    },
    {
      title: 'the same, by user and PIN',
      log: new Log().wrongPin('alice', 3).wrongPin('alice'),
      locks: ['alice 3-4?'],
    },
    {
      title: 'a higher limit unlocks, a lower one locks',
      log: new Log().wrongPin('alice', 3).limit('A1', 10).limit('A1', 0),
      locks: ['alice 3-4', 'alice 5-'],
    },
    {
      title: 'unassigned, deleted by list, reassigned: each ends it',
      log: new Log()
        .wrongPin('alice', 3)
        .done('POST /token/unassign', { serial: 'A1', login: 'alice' })
        .done('POST /token/assign', { serial: 'A1', login: 'bob' })
        .wrongPin('bob', 3)
        .done('DELETE /token/<serial>', { serial: 'X,A1' }),
      locks: ['alice 3-4', 'bob 8-9'],
    },
    {
      title: 'moved to another user while locked: the first one is free',
      log: new Log().wrongPin('alice', 3).done('POST /token/assign', { serial: 'A1', login: 'bob' }),
      locks: ['alice 3-4'],
    },
    {
      title: 'by serial alone, the owner known from the tokens of today',
      log: new Log().wrongOtp({ serial: 'A1' }, 3),
      locks: ['alice 3-'],
    },
    {
      title: 'through /auth, whatever stands around the words',
      log: [1, 2, 3].reduce(
        (log) =>
          log.add('POST /auth', false, 'loginmode=privacyIDEA|wrong otp value', { serial: 'A1', login: 'alice' }),
        new Log(),
      ),
      locks: ['alice 3-'],
    },
    {
      title: 'an administrator’s own failures, a ghost, a challenge: nothing',
      log: new Log()
        .add('POST /auth', false, 'Wrong credentials', { login: 'root' })
        .add('POST /validate/check', false, 'ERR904: User <ghost@r1> does not exist.', { login: 'ghost' })
        .add('POST /validate/check', false, 'please enter otp', { serial: 'A1', login: 'alice' }),
      locks: [],
    },
    {
      title: 'a token that nobody knows any more: the usual limit is assumed',
      log: new Log().wrongOtp({ serial: 'Z1', login: 'zoe' }, 10),
      known: [],
      locks: ['zoe 10-'],
    },
    {
      title: 'an assumed limit that proves too low never locked',
      log: new Log().wrongOtp({ serial: 'Z1', login: 'zoe' }, 12).good({ serial: 'Z1', login: 'zoe' }),
      known: [],
      locks: [],
    },
    {
      title: 'nor by wrong PINs of a user without a known token',
      log: new Log().wrongPin('zoe', 12),
      known: [],
      locks: [],
    },
    {
      title: 'full, and nobody knows which token: any good sign ends it',
      log: new Log().full({ login: 'alice' }).done('POST /token/reset', { serial: 'A2', login: 'alice' }),
      known: BOTH,
      locks: ['alice 1-2*'],
    },
    {
      title: 'not full any more today, and no row says since when',
      log: new Log().wrongPin('alice', 3),
      known: [token('A1', 'alice', 3, false)],
      locks: ['alice 3-?'],
    },
  ]
  test.each(rows)('$title: $locks', ({ log, known, locks }) => {
    expect(shown(replay(log, known ?? [{ ...ALICE, isFull: true }]))).toEqual(locks)
  })

  test('with two tokens, any or all of them decide', () => {
    const log = new Log().wrongOtp({ serial: 'A1', login: 'alice' }, 3).wrongPin('alice', 3)
    const both = BOTH.map((each) => ({ ...each, isFull: true }))
    expect(shown(replay(log, both))).toEqual(['alice 3-'])
    expect(shown(replay(log, both, { lockWhen: 'all-tokens-locked' } as object))).toEqual(['alice 6-'])
  })

  test('before 3.12.1 a full token fails like any other: the lock goes on', () => {
    const log = new Log().wrongOtp({ serial: 'A1', login: 'alice' }, 4).wrongPin('alice').wrongPin('zoe', 12)
    for (let count = 0; count < 3; count += 1) {
      log.add('POST /auth', false, '|loginmode=privacyIDEA,Authentication failure. Wro', { serial: 'B1', login: 'bob' })
    }
    const known = [{ ...ALICE, isFull: true }, token('B1', 'bob', 3, true)]
    const locks = replay(log, known, { tellsFull: false } as object)
    expect(shown(locks)).toEqual(['alice 3-', 'zoe 15-', 'bob 20-'])
  })

  test('more users than memory is meant for are refused, with what to do', () => {
    const log = new Log().wrongPin('a').wrongPin('b').wrongPin('c')
    expect(() => replay(log, [], { trackedMax: 2 } as object)).toThrow('more than 2 users and tokens')
    const locks = new Log().full({ login: 'a' }).full({ login: 'b' })
    expect(() => replay(locks, [], { locksMax: 1 } as object)).toThrow('more than 1 locks')
  })
})

describe('whatever the log holds', () => {
  const said = fc.record({
    serial: fc.constantFrom('', 'A1', 'A2', 'B1', 'A1,B1'),
    login: fc.constantFrom('', 'alice', 'bob'),
  })
  const step = fc.constantFrom('wrongOtp', 'full', 'good', 'reset', 'assign', 'unassign', 'delete', 'limit')
  const logs = fc.array(fc.tuple(step, said, fc.integer({ min: 0, max: 4 })), { maxLength: 60 }).map((steps) => {
    const log = new Log()
    for (const [what, each, max] of steps) {
      if (what === 'wrongOtp') log.wrongOtp(each)
      else if (what === 'full') log.full(each)
      else if (what === 'good') log.good(each)
      else if (what === 'limit') log.limit(each.serial, max)
      else log.done(what === 'delete' ? 'DELETE /token/<serial>' : `POST /token/${what}`, each)
    }
    return log
  })

  test('the locks of one account follow each other and never overlap', () => {
    fc.assert(
      fc.property(logs, (log) => {
        for (const login of ['alice', 'bob']) {
          const own = replay(log, [...BOTH, token('B1', 'bob')]).filter((lock) => lock.login === login)
          for (const [index, lock] of own.entries()) {
            const next = own[index + 1]
            expect(lock.toMs === null || lock.toMs >= lock.fromMs).toBe(true)
            if (next !== undefined) expect(lock.toMs ?? Infinity).toBeLessThanOrEqual(next.fromMs)
          }
        }
      }),
    )
  })

  test('what happens to others changes nothing about an account', () => {
    fc.assert(
      fc.property(logs, (log) => {
        const foreign = new Set<Serial>([serialOf('C1')])
        const more = new Log()
        for (const row of log.rows) {
          more.rows.push(row, { ...row, serials: [...foreign], login: parseLogin('carol'), realm: REALM })
        }
        const known = [...BOTH, token('B1', 'bob')]
        const own = replay(more, known).filter((lock) => lock.login !== 'carol')
        expect(own).toEqual(replay(log, known))
      }),
    )
  })
})

describe('rates', () => {
  test('the fullest window counts, wherever it begins', () => {
    expect(peak([0, 30_000, 59_999, 60_000, 61_000], 60_000)).toEqual({ count: 4, fromMs: 30_000 })
    expect(peak([], 60_000)).toEqual({ count: 0, fromMs: null })
    expect(peaks([0, 50_000, 500_000, 3_000_000, 80_000_000])).toMatchObject({
      minute: { count: 2 },
      tenMinutes: { count: 3 },
      hour: { count: 4 },
      day: { count: 5 },
    })
  })

  test('a window holds as many as counting one by one says', () => {
    const starts = fc
      .array(fc.integer({ min: 0, max: 500 }), { maxLength: 60 })
      .map((all) => all.toSorted((a, b) => a - b))
    fc.assert(
      fc.property(starts, fc.integer({ min: 1, max: 100 }), (all, width) => {
        const counts = all.map((from) => all.filter((each) => each >= from && each < from + width).length)
        expect(peak(all, width).count).toBe(Math.max(0, ...counts))
      }),
    )
  })

  test('locked at once counts those that never end', () => {
    const locks = [
      { fromMs: 0, toMs: 10 },
      { fromMs: 10, toMs: null },
      { fromMs: 20, toMs: 30 },
    ]
    expect(lockedAtOnce(locks)).toEqual({ count: 2, fromMs: 20 })
  })

  test('the breaker lets usual days through and stops the bad one', () => {
    const day = 86_400_000
    const usual = Array.from({ length: 60 }, (_, index) => [0, 1, 2, 3].map((each) => index * day + each * 1000)).flat()
    const attack = Array.from({ length: 200 }, (_, index) => 30 * day + 7_200_000 + index * 1000)
    const advice = adviseBreaker([...usual, ...attack].toSorted((a, b) => a - b))
    expect(advice).toMatchObject({ locksMax: 8, usualMax: 4, perMs: 600_000 })
    expect(advice.daysStopped).toEqual([
      { dayMs: 30 * day, count: 200, exceeded: { perMs: 600_000, count: 200 } },
      // A window of 24 hours does not end at midnight.
      { dayMs: 31 * day, count: 4, exceeded: { perMs: day, count: 204 } },
    ])
    expect(advice.limits.map(({ perMs }) => perMs)).toEqual([60 * 60_000, day])
    expect(breakerLines(advice).split('\n')).toEqual([
      'guards:',
      '  breaker:',
      '    maxLocks: 8',
      '    per: 10m',
      '    limits:',
      '      - { maxLocks: 8, per: 1h }',
      '      - { maxLocks: 8, per: 24h }',
    ])
    expect(adviseBreaker([])).toMatchObject({ locksMax: 5, daysStopped: [] })
  })

  test('a burst around midnight is more than either day has, and would have been stopped', () => {
    const day = 86_400_000
    const usual = Array.from({ length: 40 }, (_, index) => [0, 1, 2].map((each) => index * day + each * 1000)).flat()
    const burst = Array.from({ length: 8 }, (_, index) => 20 * day + day / 2 + (index - 4) * 60_000)
    const shifted = [...usual, ...burst].map((ms) => ms + day / 2).toSorted((a, b) => a - b)
    const { locksMax, daysStopped } = adviseBreaker(shifted)
    expect(locksMax).toBe(6)
    expect(daysStopped.at(-1)).toMatchObject({ count: 8, exceeded: { perMs: 600_000, count: 8 } })
  })

  test('every lock is in one bar', () => {
    expect(countsIn([0, 9, 10, 35], [0, 10, 20, 30])).toEqual([2, 1, 1])
    expect(countsIn([-1, 10, 20], [0, 10, 10, 20])).toEqual([1, 0, 2])
    expect(countsIn([], [0, 10, 20])).toEqual([0, 0])
  })

  test('the highest counts of each stretch are those of windows that end in it, as found one by one', () => {
    const starts = fc
      .array(fc.integer({ min: 0, max: 500 }), { maxLength: 60 })
      .map((all) => all.toSorted((a, b) => a - b))
    fc.assert(
      fc.property(starts, fc.integer({ min: 1, max: 100 }), (all, width) => {
        const edges = [0, 100, 250, 501]
        const highest = [0, 1, 2].map((bin) => {
          const inside = all.filter((each) => each >= (edges[bin] ?? 0) && each < (edges[bin + 1] ?? 0))
          return Math.max(0, ...inside.map((to) => all.filter((each) => each > to - width && each <= to).length))
        })
        expect(peaksIn(all, edges, width)).toEqual(highest)
        expect(Math.max(0, ...highest)).toBe(peak(all, width).count)
      }),
    )
  })
})

describe('serials and logins as a request spells them', () => {
  const locksOf = (log: Log, known: readonly KnownToken[]): string[] => {
    const rehearsal = newRehearsal(known, OPTIONS)
    for (const row of log.rows) rehearsal.take(row)
    return rehearsal.finish().map(({ login, serials, toMs }) => `${login} ${serials.join(',')} ${toMs ?? 'still'}`)
  }

  test('failures in another case count on the token, and its reset ends the lock', () => {
    const log = new Log().wrongOtp({ serial: 'alice1' }, 3).done('POST /token/reset', { serial: 'ALICE1' })
    expect(locksOf(log, [token('ALICE1', 'alice')])).toEqual(['alice ALICE1 4000'])
  })

  test('failures of one person under several spellings of the login count together', () => {
    const log = new Log().wrongPin('alice', 1).wrongPin('ALICE', 2)
    expect(locksOf(log, [token('ALICE1', 'alice')])).toEqual(['alice ALICE1 still'])
  })

  test('of two tokens that privacyIDEA lists each counts by itself', () => {
    const log = new Log().wrongOtp({ serial: 'ALICE1' }, 2).wrongOtp({ serial: 'alice1' }, 2)
    const twins = [token('ALICE1', 'alice'), token('alice1', 'mallory')]
    expect(locksOf(log, twins)).toEqual([])
    expect(locksOf(log.wrongOtp({ serial: 'alice1' }), twins)).toEqual(['mallory alice1 still'])
  })

  test('a token that is enrolled anew ends its lock; one of several that are named ends none', () => {
    const full = (): Log => new Log().wrongOtp({ serial: 'A1', login: 'alice' }, 3)
    const known = [token('A1', 'alice'), token('A2', 'alice')]
    const init = 'POST /token/init'
    expect(locksOf(full().done(init, { serial: 'A1', login: 'alice' }), known)).toEqual(['alice A1 4000'])
    expect(locksOf(full().done(init, { serial: 'A2', login: 'alice' }), known)).toEqual(['alice A1 still'])
    expect(locksOf(full().done(init, { serial: 'A1,A2', login: 'alice' }), known)).toEqual(['alice A1 still'])
    expect(locksOf(full().done(init, { login: 'alice' }), known)).toEqual(['alice A1 still'])
  })
})
