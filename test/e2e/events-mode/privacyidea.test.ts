import { lookTests } from './privacyidea-look.ts'
import { policyTests, setupTests } from './privacyidea-setup.ts'
import { onReleaseOfRun } from '../../support/privacyidea-world.ts'

onReleaseOfRun((world) => {
  setupTests(world)
  lookTests(world)
  policyTests(world)
})
