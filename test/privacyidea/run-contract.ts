import { afterAll, beforeAll, describe } from 'vitest'
import { INSTALL_TIMEOUT_MS, type ReleaseName } from '../servers/privacyidea/privacyidea.ts'
import { privacyIdeaContract, type PrivacyIdeaWorld } from './contract.ts'
import { switchContract } from './switch-contract.ts'
import { realWorld, simulatedWorld } from './worlds.ts'

/** The versions whose real servers are tried: LOCKSTEP_PRIVACYIDEA, as in `3.11 3.13` or `all`; else 3.12 and 3.14. */
const CHOSEN = (process.env['LOCKSTEP_PRIVACYIDEA'] ?? '3.12 3.14').split(/[ ,]+/)

/** Making a token takes a quarter of a second there, and many times that while other tests run beside. */
const SLOW_MS = 240_000

export function runSimulated(release: ReleaseName): void {
  describe(`the simulator of privacyIDEA ${release}`, () => {
    run(() => simulatedWorld(release))
  })
}

export function runReal(release: ReleaseName): void {
  const isChosen = CHOSEN.includes(release) || CHOSEN.includes('all')
  describe.skipIf(!isChosen)(`privacyIDEA ${release}`, { timeout: SLOW_MS }, () => {
    run(() => realWorld(release))
  })
}

function run(start: () => Promise<PrivacyIdeaWorld>): void {
  let world: PrivacyIdeaWorld
  beforeAll(async () => {
    world = await start()
  }, INSTALL_TIMEOUT_MS)
  afterAll(async () => world?.[Symbol.asyncDispose]())
  privacyIdeaContract(() => world)
  switchContract(() => world)
}
