import { afterAll, beforeAll, describe } from 'vitest'
import { INSTALL_TIMEOUT_MS, type ReleaseName } from '../servers/privacyidea/privacyidea.ts'
import { isChosen } from '../support/privacyidea-world.ts'
import { privacyIdeaContract, type PrivacyIdeaWorld } from './contract.ts'
import { switchContract } from './switch-contract.ts'
import { realWorld, simulatedWorld } from './worlds.ts'

/** Making a token takes a quarter of a second there, and many times that while other tests run beside. */
const SLOW_MS = 240_000

export function runSimulated(release: ReleaseName): void {
  describe(`the simulator of privacyIDEA ${release}`, () => {
    run(() => simulatedWorld(release))
  })
}

export function runReal(release: ReleaseName): void {
  describe.skipIf(!isChosen(release))(`privacyIDEA ${release}`, { timeout: SLOW_MS }, () => {
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
