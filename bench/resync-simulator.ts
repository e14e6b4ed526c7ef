import { startSimulator } from '../test/privacyidea/simulator/simulator.ts'
import { entryIdOf, loginOf, serialOf } from './accounts.ts'

/**
 * A simulated privacyIDEA in a process of its own, full of users with one token each, whose ids are those of the
 * benchmark's directory. `node resync-simulator.ts COUNT`; prints SimulatorAt as JSON, and ends with its standard input.
 */
export interface SimulatorAt {
  readonly url: string
}

const count = Number(process.argv[2])
const simulator = await startSimulator()
const { stock } = simulator.world
for (let index = 1; index <= count; index++) {
  stock.addUser(loginOf(index), entryIdOf(index))
  stock.addToken(serialOf(index), { userId: entryIdOf(index) })
}
process.stdout.write(`${JSON.stringify({ url: simulator.url } satisfies SimulatorAt)}\n`)
process.stdin.resume()
process.stdin.once('end', () => void simulator[Symbol.asyncDispose]())
