import { openSync, closeSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../../src/ports/clock.ts'
import { openStore, type Store } from '../../../src/store/store.ts'
import { lockEvent } from '../test-store.ts'

/**
 * A process of its own on a store, for the tests beside it:
 *   append FILE FROM COUNT     takes events one after the other
 *   work FILE FOLDER           claims accounts until none is left; each is worked on under a file that must be new
 *   hold FILE                  claims what is due, says `holding` and waits to be killed
 */

const CLAIMS_AT_ONCE = 3
const WORK_MS = 2

async function append(store: Store, from: number, count: number): Promise<void> {
  for (let number = from; number < from + count; number++) await store.inbox.take([lockEvent(number)], [])
}

async function work(store: Store, folder: string): Promise<void> {
  let done = 0
  for (;;) {
    const claims = await store.queue.claim(CLAIMS_AT_ONCE, Date.now())
    if (claims.length === 0 && (await store.queue.nextDueMs()) === null) break
    await Promise.all(
      claims.map(async (claim) => {
        const mark = join(folder, claim.key.replace('/', '_'))
        closeSync(openSync(mark, 'wx'))
        await new Promise((resolve) => setTimeout(resolve, WORK_MS))
        rmSync(mark)
        const outcome = {
          standing: 'in-step',
          reason: null,
          errorCode: null,
          againAtMs: null,
          applied: 0,
          effective: null,
          isLockObserved: false,
        } as const
        await store.records.recordOutcome(claim, outcome, [])
        done++
      }),
    )
  }
  console.log(done)
}

async function hold(store: Store): Promise<void> {
  const claims = await store.queue.claim(CLAIMS_AT_ONCE, Date.now())
  console.log(`holding ${claims.length}`)
  await new Promise((resolve) => setTimeout(resolve, 600_000))
}

const [mode, file = '', ...rest] = process.argv.slice(2)
const options = { file, clock: systemClock, lockTtlMs: null, willWrite: true }
await using opened = await openStore(options)
if (mode === 'append') await append(opened, Number(rest[0]), Number(rest[1]))
else if (mode === 'work') await work(opened, rest[0] ?? '')
else await hold(opened)
