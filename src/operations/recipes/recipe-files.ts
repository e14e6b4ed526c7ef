import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseRecipe } from '../../config/recipe-file.ts'
import { AppError } from '../../core/error.ts'
import { systemRefusal } from '../../core/system-error.ts'
import type { Recipe } from '../../core/source/recipe.ts'

/** The available recipes: those that come with Lockstep, and an administrator's own. */
export interface FoundRecipe {
  readonly recipe: Recipe
  readonly file: string
  readonly isOwn: boolean
}

const FILE_BYTES_MAX = 128 * 1024
const FILES_MAX = 500
const PACKAGE_DEPTH_MAX = 4
/** The handlers of `lockstep privacyidea setup`, so that both use the same ones. */
const SETUP_RECIPE = 'directory-sync'
const SETUP_PREFIX = 'lockstep: '

/**
 * In the order of their names. Fails with `config-invalid` where a file has mistakes or the name of one that comes with
 * Lockstep, and with `file-io`, `file-not-permitted`.
 * @param ownDir may be missing
 */
export async function findRecipes(ownDir: string): Promise<readonly FoundRecipe[]> {
  const builtIn = await recipesIn(await packageDir(), false)
  const own = await recipesIn(ownDir, true)
  const names = new Set(builtIn.map(({ recipe }) => recipe.name))
  for (const { recipe, file } of own) {
    if (!names.has(recipe.name)) continue
    throw new AppError('config-invalid', `${file}: a recipe of this name comes with Lockstep`, {
      hint: `Give the file another name; "lockstep recipes show ${recipe.name} --yaml" prints the one that is there.`,
    })
  }
  return [...builtIn, ...own].toSorted((a, b) => a.recipe.name.localeCompare(b.recipe.name))
}

/** Fails with `usage` where there is none of this name. */
export function recipeNamed(recipes: readonly FoundRecipe[], name: string): FoundRecipe {
  const found = recipes.find(({ recipe }) => recipe.name === name)
  if (found !== undefined) return found
  throw new AppError('usage', `there is no recipe ${name}`, { hint: '"lockstep recipes" lists those that there are.' })
}

/** Beside `dist/` in a package, beside `src/` in a checkout. */
async function packageDir(): Promise<string> {
  for (let depth = 1; depth <= PACKAGE_DEPTH_MAX; depth += 1) {
    const dir = fileURLToPath(new URL(`${'../'.repeat(depth)}recipes`, import.meta.url))
    if ((await stat(join(dir, `${SETUP_RECIPE}.yaml`)).catch(() => null)) !== null) return dir
  }
  throw new AppError('internal', 'The folder recipes of the package is missing.', {
    hint: 'Install Lockstep again: the folder recipes belongs beside dist.',
  })
}

async function recipesIn(dir: string, isOwn: boolean): Promise<FoundRecipe[]> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' && isOwn) return []
    throw unreadable(dir, error)
  })
  const files = names.filter((name) => /\.ya?ml$/.test(name) && !name.startsWith('.')).toSorted()
  if (files.length > FILES_MAX) throw new AppError('limit-exceeded', `${dir} holds more than ${FILES_MAX} recipes`)
  return Promise.all(files.map((name) => readRecipe(join(dir, name), name.replace(/\.ya?ml$/, ''), isOwn)))
}

async function readRecipe(file: string, name: string, isOwn: boolean): Promise<FoundRecipe> {
  const text = await recipeText(file)
  const prefix = !isOwn && name === SETUP_RECIPE ? SETUP_PREFIX : null
  return { recipe: parseRecipe(text, name, file, prefix), file, isOwn }
}

/** The unchanged file. */
export async function recipeText(file: string): Promise<string> {
  try {
    const info = await stat(file)
    if (!info.isFile() || info.size > FILE_BYTES_MAX) {
      throw new AppError('config-invalid', `${file} is no file of at most ${FILE_BYTES_MAX / 1024} KiB`)
    }
    return await readFile(file, 'utf8')
  } catch (error) {
    throw error instanceof AppError ? error : unreadable(file, error)
  }
}

function unreadable(path: string, cause: unknown): AppError {
  const { code, why, hint } = systemRefusal(cause)
  return new AppError(code, `${path} cannot be read: ${why}`, { hint, cause })
}
