import type { Event } from '../../src/core/events/event.ts'
import type { IntakePort, Refused } from '../../src/ports/intake.ts'

/** An intake that keeps what it is given, takes an id once, and can be told to fail or to wait. */
export interface MemoryIntake extends IntakePort {
  readonly events: Event[]
  readonly refused: Refused[]
  /** How many events each call brought. */
  readonly calls: number[]
  /** Called before anything is kept; may throw. */
  before: () => void | Promise<void>
  /** Resolves once so many events and refusals are there. */
  reached(count: number): Promise<void>
}

export function newMemoryIntake(): MemoryIntake {
  const ids = new Set<string>()
  let waiters: { count: number; done: () => void }[] = []
  const intake: MemoryIntake = {
    events: [],
    refused: [],
    calls: [],
    before: () => undefined,
    async take(events, refused) {
      await intake.before()
      intake.calls.push(events.length)
      for (const event of events) if (isNew(event.id)) intake.events.push(event)
      for (const each of refused) if (isNew(each.id)) intake.refused.push(each)
      const total = intake.events.length + intake.refused.length
      for (const waiter of waiters) if (waiter.count <= total) waiter.done()
      waiters = waiters.filter((waiter) => waiter.count > total)
    },
    reached(count) {
      if (intake.events.length + intake.refused.length >= count) return Promise.resolve()
      return new Promise((done) => waiters.push({ count, done }))
    },
  }
  function isNew(id: string): boolean {
    if (ids.has(id)) return false
    ids.add(id)
    return true
  }
  return intake
}
