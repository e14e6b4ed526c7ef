import { expect } from 'vitest'
import type { TokenEventKind } from '../../../src/core/events/event.ts'
import { lockstep, lockstepTest as test, slapd } from '../../support/fixture.ts'
import { lookAtAll } from '../../support/account-view.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** Days of five events, each told in every order of arrival: whatever came first, the newest decides. */

type Step = readonly [kind: TokenEventKind, args: (user: string) => readonly string[]]

interface Day {
  readonly name: string
  /** In the order in which they happened. */
  readonly steps: readonly Step[]
  readonly expected: {
    readonly lockedTime: string | null
    readonly serials: readonly string[]
    readonly holds: readonly string[]
  }
}

const OUR_TIME = '000001010000Z'

/** `S` and `T` stand for serials of the user's own. */
const DAYS: readonly Day[] = [
  {
    name: 'enrolled, locked, reset, locked again, reset again',
    steps: [
      ['register', (user) => asAdmin(`S${user}`, user)],
      ['lock', (user) => asNobody(`S${user}`, user)],
      ['unlock', (user) => asAdmin(`S${user}`, null)],
      ['lock', (user) => asNobody(`S${user}`, null)],
      ['unlock', (user) => asAdmin(null, user)],
    ],
    expected: { lockedTime: null, serials: ['S'], holds: [] },
  },
  {
    name: 'enrolled, a second token, locked by name, reset, one token locked',
    steps: [
      ['register', (user) => asAdmin(`S${user}`, user)],
      ['register', (user) => asAdmin(`T${user}`, user)],
      ['lock', (user) => asNobody(null, user)],
      ['unlock', (user) => asAdmin(`S${user}`, null)],
      ['lock', (user) => asNobody(`T${user}`, null)],
    ],
    expected: { lockedTime: OUR_TIME, serials: ['S', 'T'], holds: ['T'] },
  },
  {
    name: 'enrolled, locked by name, a second token, the first deleted, locked by name again',
    steps: [
      ['register', (user) => asAdmin(`S${user}`, user)],
      ['lock', (user) => asNobody(null, user)],
      ['register', (user) => asAdmin(`T${user}`, user)],
      ['unregister', (user) => asAdmin(`S${user}`, null)],
      ['lock', (user) => asNobody(null, user)],
    ],
    expected: { lockedTime: OUR_TIME, serials: ['T'], holds: ['T'] },
  },
  {
    name: 'locked by name before any token, then two tokens, of which one is reset and the other deleted',
    steps: [
      ['lock', (user) => asNobody(null, user)],
      ['register', (user) => asAdmin(`S${user}`, user)],
      ['register', (user) => asAdmin(`T${user}`, user)],
      ['unlock', (user) => asAdmin(`T${user}`, null)],
      ['unregister', (user) => asAdmin(`T${user}`, null)],
    ],
    expected: { lockedTime: null, serials: ['S'], holds: [] },
  },
  {
    name: 'enrolled, locked by name, deleted, a second token, locked',
    steps: [
      ['register', (user) => asAdmin(`S${user}`, user)],
      ['lock', (user) => asNobody(null, user)],
      ['unregister', (user) => asAdmin(`S${user}`, user)],
      ['register', (user) => asAdmin(`T${user}`, user)],
      ['lock', (user) => asNobody(`T${user}`, user)],
    ],
    expected: { lockedTime: OUR_TIME, serials: ['T'], holds: ['T'] },
  },
]

const ORDERS = permutations([0, 1, 2, 3, 4])

test.override('slapdOptions', { users: DAYS.length * ORDERS.length })

function permutations(items: readonly number[]): number[][] {
  if (items.length < 2) return [[...items]]
  return items.flatMap((item) => permutations(items.filter((each) => each !== item)).map((rest) => [item, ...rest]))
}

test.each(DAYS.map((day, at) => [day.name, day, at] as const))('%s: all orders end the same', async (_, day, dayAt) => {
  const startMs = Date.now() - 60_000
  const users = ORDERS.map((order, at) => ({ order, user: `u${dayAt * ORDERS.length + at + 1}` }))
  for (let arrival = 0; arrival < day.steps.length; arrival++) {
    for (const { order, user } of users) {
      const number = order[arrival] ?? 0
      const [kind, args] = day.steps[number] ?? ['lock', () => []]
      lockstep.spool({ kind, args: args(user), takenAtMs: startMs + number * 1000 })
    }
    await lockstep.settled()
  }
  const pending = { unlock: lockstep.ldif('unlock'), unregister: lockstep.ldif('unregister') }
  const { lockedTime, serials, holds } = day.expected
  const views = await lookAtAll(slapd)
  for (const { order, user } of users) {
    const view = views.get(user)
    const files = (folder: 'unlock' | 'unregister'): string[] =>
      pending[folder].filter((name) => name.slice(1) === `${user}.ldif`).map((name) => name.slice(0, 1))
    expect(
      { ...view, unlock: files('unlock'), unregister: files('unregister') },
      `order of arrival ${order.join(' ')}, user ${user}`,
    ).toEqual({
      lockedTime,
      descriptions: serials.map((serial) => `privacyIDEA:${serial}${user}`),
      unlock: holds,
      unregister: serials,
    })
  }
  expect(pending.unlock.filter((name) => name.startsWith('account.'))).toEqual([])
  expect(lockstep.ldif('lock')).toEqual([])
})
