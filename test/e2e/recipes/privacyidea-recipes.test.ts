import { enrollTests } from './enroll-real.ts'
import { isChosenByName, onReleaseOfRun } from '../../support/privacyidea-world.ts'
import { recipeTests } from './recipes.ts'

onReleaseOfRun((world) => {
  recipeTests(world)
  enrollTests(world)
}, isChosenByName)
