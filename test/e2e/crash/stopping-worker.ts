import { randomUUID } from 'node:crypto'
import { loadConfig } from '../../../src/config/load.ts'
import type { TokenEventKind } from '../../../src/core/events/event.ts'
import { parseLogin, parseSerial } from '../../../src/core/names.ts'
import { newId } from '../../../src/app/system.ts'
import { openStoreOf } from '../../../src/app/state-store.ts'
import { wire } from '../../../src/app/wiring.ts'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { openLdifFolders } from '../../../src/ldif/folders.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { reconcileAccount } from '../../../src/reconcile/account/reconcile-account.ts'
import { resolveEvent } from '../../../src/reconcile/resolve.ts'

/**
 * A process of its own that works on one instance as a daemon does, turn by turn as its parent asks, and that stops itself
 * (SIGSTOP) before or after a call of a part: `stopping-worker.ts CONFIG`. Each call is a point, named for its part, so
 * that a call that is new is one as well.
 */
export type Order =
  /** An event of this kind came in. */
  | { readonly do: 'take'; readonly kind: TokenEventKind; readonly serial: string; readonly login: string }
  /** @param stopAt the point of this turn, counted from 0; null: none */
  | { readonly do: 'work'; readonly stopAt: number | null }
  | { readonly do: 'end' }

export type Report =
  | { readonly is: 'ready' }
  | { readonly is: 'stopping'; readonly point: string }
  | { readonly is: 'done'; readonly points: readonly string[] }
  | { readonly is: 'failed'; readonly why: string }

const GIVE_UP_MS = 86_400_000
const ROUNDS_MAX = 100
/** What cannot change anything, or is asked at any time. */
const NO_POINTS: readonly PropertyKey[] = ['isLimited', 'nextDueMs', 'servers', 'names']

let stopAt: number | null = null
let points: string[] = []

function tell(report: Report): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(report, undefined, undefined, (error) => (error === null ? resolve() : reject(error)))
  })
}

async function pass(point: string): Promise<void> {
  const number = points.push(point) - 1
  if (number !== stopAt) return
  // Whoever stops in a transaction stops all others as well: the call that is a point is beside it.
  await store.queue.mark([], systemClock.nowMs())
  await tell({ is: 'stopping', point })
  process.kill(process.pid, 'SIGSTOP')
}

function stoppable<Port extends object>(part: string, port: Port): Port {
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function' || NO_POINTS.includes(name)) return member
      return async (...values: unknown[]): Promise<unknown> => {
        await pass(`before ${part}.${String(name)}`)
        const result: unknown = await Reflect.apply(member, target, values)
        await pass(`after ${part}.${String(name)}`)
        return result
      }
    },
  })
}

const { settings } = loadConfig({ flag: process.argv[2], env: process.env, cwd: process.cwd() })
await using opened = new AsyncDisposableStack()
const store = opened.use(await openStoreOf(settings, true))
const ldif = opened.use(await openLdifFolders({ dir: settings.ldif.dir }))
const directory = opened.use(openDirectories(settings, systemClock, store.identities))
const { ports } = wire({
  settings,
  clock: systemClock,
  store: { ...store, records: stoppable('records', store.records), queue: stoppable('queue', store.queue) },
  directory: stoppable('directory', directory),
  ldif: stoppable('ldif', ldif),
  source: null,
  newId: () => newId(systemClock),
})

async function work(): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const events = await store.inbox.due(systemClock.nowMs(), 16)
    const resolutions = await Promise.all(events.map((event) => resolveEvent(event, ports, GIVE_UP_MS)))
    if (resolutions.length > 0) await store.inbox.recordResolutions(resolutions, 0)
    const claims = await ports.queue.claim(16, systemClock.nowMs())
    for (const claim of claims) await reconcileAccount(claim, ports)
    if (events.length === 0 && claims.length === 0) return
  }
  throw new Error('it never comes to rest')
}

let takenAtUs = 0

async function take({ kind, serial, login }: Extract<Order, { do: 'take' }>): Promise<void> {
  takenAtUs = Math.max(takenAtUs + 1, systemClock.nowMs() * 1000)
  const who = { serial: parseSerial(serial), login: parseLogin(login), realm: null }
  const event = {
    id: randomUUID(),
    kind,
    ...who,
    actor: '',
    takenAtUs,
    source: 'shim',
    reason: null,
    untilUs: null,
  } as const
  await store.inbox.take([event], [])
}

for await (const order of orders()) {
  if (order.do === 'end') break
  points = []
  try {
    if (order.do === 'take') await take(order)
    else {
      stopAt = order.stopAt
      await work()
    }
    await tell({ is: 'done', points })
  } catch (thrown) {
    await tell({ is: 'failed', why: String(thrown) })
  }
}
process.disconnect()

async function* orders(): AsyncGenerator<Order> {
  const waiting: Order[] = []
  let wake = Promise.withResolvers<void>()
  process.on('message', (order) => {
    waiting.push(order as Order)
    wake.resolve()
  })
  await tell({ is: 'ready' })
  for (;;) {
    const next = waiting.shift()
    if (next !== undefined) yield next
    else {
      await wake.promise
      wake = Promise.withResolvers<void>()
    }
  }
}
