import { onRelease } from './privacyidea-world.ts'
import { recipeTests } from './recipes.ts'

onRelease('3.14', recipeTests)
