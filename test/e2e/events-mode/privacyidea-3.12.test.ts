import { lookTests } from './privacyidea-look.ts'
import { policyTests, setupTests } from './privacyidea-setup.ts'
import { onRelease } from '../../support/privacyidea-world.ts'

onRelease('3.12', (world) => {
  setupTests(world)
  lookTests(world)
  policyTests(world)
})
