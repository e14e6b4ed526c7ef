import { enrollTests } from './enroll-real.ts'
import { isChosenByName, onRelease } from '../../support/privacyidea-world.ts'
import { recipeTests } from './recipes.ts'

onRelease(
  '3.12',
  (world) => {
    recipeTests(world)
    enrollTests(world)
  },
  isChosenByName,
)
