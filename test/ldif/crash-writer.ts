import { openLdifFolders } from '../../src/ldif/folders.ts'
import { change, hold, NOON_MS, serial, keyOf } from './changes.ts'

/**
 * A process to be killed: `node crash-writer.ts DIR never|always`. Prepares and applies changes of all kinds, and
 * prints a line for each that the port said is on disk.
 */
const LANES = 16
const [dir = '', worker] = process.argv.slice(2)
const ldif = await openLdifFolders({ dir, worker: worker === 'always' ? 'always' : 'never' })
await ldif.prepare(change('lock', [hold('first')]))
process.stdout.write('ready\n')

async function lane(number: number): Promise<never> {
  for (let round = 0; ; round++) {
    const name = hold(`L${number}-${round}`)
    const rest = { id: name, plannedAtMs: NOON_MS + round }
    const lock = change('lock', [name], rest)
    await ldif.prepare(lock)
    process.stdout.write(`locked ${name}\n`)
    await ldif.applied(lock)
    await ldif.prepare(change('register', [name], rest))
    process.stdout.write(`registered ${name}\n`)
    if (round % 2 === 0) continue
    const unlock = change('unlock', [name], rest)
    await ldif.prepare(unlock)
    await ldif.applied(unlock)
    process.stdout.write(`unlocked ${name}\n`)
    await ldif.dropPending('unregister', serial(name), round % 4 === 1 ? 'applied' : 'superseded', keyOf('a1'))
    process.stdout.write(`unregistered ${name}\n`)
  }
}

await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)))
