import { counted } from '../../core/format/counted.ts'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { readSecret, secretReader } from '../../config/secret.ts'
import { AppError } from '../../core/error.ts'
import type { Recipe } from '../../core/source/recipe.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { hookUrlOf } from '../../operations/setup/hook-url.ts'
import { findRecipes, recipeNamed, recipeText, type FoundRecipe } from '../../operations/recipes/recipe-files.ts'
import { openRecipeServer, type RecipePlan, type RecipeServer } from '../../operations/recipes/recipes.ts'
import { adminAccess, confirmChange } from '../process/admin-login.ts'
import type { AdminOptions } from '../process/admin-options.ts'
import type { CliIo } from '../terminal/io.ts'
import { painter, plain, print, printData, printTable, printText } from '../terminal/output.ts'
import { openPrompt, type Prompt } from '../terminal/prompt.ts'
import { loadSettingsIfAny } from '../process/settings.ts'
import { bindingsJson, printBindings } from './setup-output.ts'
import type { Flags, Texts } from '../terminal/options.ts'

/** `lockstep recipes`: the list, a recipe's meaning, and the change in privacyIDEA after it is shown. */
export type RecipeOptions = AdminOptions &
  Flags<'dryRun' | 'yes' | 'json'> &
  Texts<'hookUrl'> & { readonly set?: readonly string[]; readonly setFile?: readonly string[] }

/** The folder of an administrator's own recipes where no configuration sets it. */
const OWN_DIR = '/etc/lockstep/recipes'

export async function listRecipes(options: RecipeOptions, command: Command, io: CliIo): Promise<void> {
  const settings = await loadSettingsIfAny(command, io)
  const found = await recipesOf(settings)
  const existing = options.user === undefined ? null : await existingOf(found, { options, settings, io })
  const countOf = ({ recipe }: FoundRecipe): number | null => existing?.get(recipe.name) ?? null
  const shownCount = (each: FoundRecipe): string => (countOf(each) ? counted(countOf(each) ?? 0, 'handler') : '-')
  if (options.json === true) {
    const recipes = found.map((each) => ({ ...summary(each), handlersInPrivacyIdea: countOf(each) }))
    return printData(io, { recipes })
  }
  printTable(io, found, [
    { title: 'recipe', value: ({ recipe }) => recipe.name },
    ...(existing === null ? [] : [{ title: 'there', value: shownCount }]),
    { title: 'from', value: ({ recipe }) => recipe.since },
    {
      title: 'what it does',
      value: ({ recipe, isOwn }) => `${recipe.title}${isOwn ? ' (own)' : ''}`,
      movesBelow: true,
    },
  ])
}

interface Order {
  readonly options: RecipeOptions
  readonly settings: Settings | null
  readonly io: CliIo
}

async function existingOf(found: readonly FoundRecipe[], order: Order): Promise<ReadonlyMap<string, number>> {
  using prompt = openPrompt(order.io)
  await using server = await openServer(order, prompt)
  return await server.standing(found.map(({ recipe }) => recipe))
}

export async function showRecipe(
  name: string,
  options: { readonly yaml?: boolean; readonly json?: boolean },
  command: Command,
  io: CliIo,
): Promise<void> {
  const found = recipeNamed(await recipesOf(await loadSettingsIfAny(command, io)), name)
  if (options.yaml === true) return print(io, await recipeText(found.file))
  const { recipe } = found
  if (options.json === true) return printData(io, { ...summary(found), ...recipe })
  const paint = painter(io)
  printText(io, `${paint('bold', plain(recipe.title))}\n${plain(recipe.purpose.trim())}`)
  printText(io, `\n${paint('bold', 'Risk')}\n${plain(recipe.risk.trim())}`)
  printText(io, `\n${paint('bold', 'Needs')}\n  privacyIDEA ${recipe.since} or later`)
  for (const need of recipe.needs) printText(io, plain(`  ${need}`))
  const parameters = Object.entries(recipe.parameters)
  if (parameters.length > 0) printText(io, `\n${paint('bold', 'Parameters')}`)
  for (const [key, { text, fallback, choices, isSecret }] of parameters) {
    const rest = [
      choices === null ? '' : ` (${choices.join(', ')})`,
      isSecret ? ' (a secret: --set-file)' : '',
      fallback === null ? '' : `; default ${fallback}`,
    ]
    printText(io, plain(`  ${key}: ${text}${rest.join('')}`))
  }
  printText(io, `\n${paint('bold', 'Handlers')}`)
  for (const { name: part, when, events, position, module, action, conditions } of recipe.handlers) {
    const only = Object.entries(when).map(([key, value]) => ` (${key}=${value})`)
    const ifs = Object.entries(conditions).map(([key, value]) => `, if ${key}=${value}`)
    const before = position === 'pre' ? 'before ' : ''
    printText(
      io,
      plain(`  ${part}${only.join('')}: ${before}${events.join(', ')}${ifs.join('')} → ${module}: ${action}`),
    )
  }
  printText(io, `\n${plain(found.file)}`)
}

export async function applyRecipe(name: string, options: RecipeOptions, command: Command, io: CliIo): Promise<void> {
  const settings = await loadSettingsIfAny(command, io)
  const { recipe } = recipeNamed(await recipesOf(settings), name)
  const parameters = parametersOf(recipe, options, io)
  await change({ options, settings, io }, (server) => server.planApply(recipe, parameters))
}

export async function removeRecipe(name: string, options: RecipeOptions, command: Command, io: CliIo): Promise<void> {
  const settings = await loadSettingsIfAny(command, io)
  const { recipe } = recipeNamed(await recipesOf(settings), name)
  await change({ options, settings, io }, (server) => server.planRemove(recipe))
}

async function change(order: Order, planned: (server: RecipeServer) => Promise<RecipePlan>): Promise<void> {
  const { options, io } = order
  using prompt = openPrompt(io)
  await using server = await openServer(order, prompt)
  const plan = await planned(server)
  const count = plan.changes.filter(({ kind }) => kind !== 'same').length
  const isJson = options.json === true
  if (!isJson) {
    printText(io, painter(io)('bold', `privacyIDEA ${plain(plan.version)} at ${plain(server.url)}`))
    printBindings(io, plan.changes)
  }
  const goesOn = count > 0 && options.dryRun !== true
  if (goesOn && options.yes !== true) await confirmChange(prompt)
  if (goesOn) await server.make(plan)
  if (isJson) {
    return printData(io, {
      recipe: plan.recipe.name,
      version: plan.version,
      url: server.url,
      made: goesOn,
      changes: count,
      handlers: bindingsJson(plan.changes),
    })
  }
  if (count === 0)
    printText(io, plan.changes.length === 0 ? '  nothing of it is there' : '\nEverything is as it should be.')
  else printText(io, goesOn ? `\n${count} changed.` : '\nNothing was changed.')
}

async function openServer({ options, settings, io }: Order, prompt: Prompt | null): Promise<RecipeServer> {
  const { source, password } = await adminAccess(options, settings, prompt, io)
  return openRecipeServer(
    source,
    () => password,
    () => hookUrlOf(settings?.intake.http ?? null, options.hookUrl ?? null, secretReader(io.env)),
  )
}

function recipesOf(settings: Settings | null): Promise<readonly FoundRecipe[]> {
  return findRecipes(settings?.recipes.dir ?? OWN_DIR)
}

/** A secret in the arguments would be in the list of processes and in the shell's history. */
function parametersOf(recipe: Recipe, options: RecipeOptions, io: CliIo): ReadonlyMap<string, string> {
  const given = new Map<string, string>()
  for (const text of options.set ?? []) {
    const [name, value] = pairOf('--set', text)
    if (recipe.parameters[name]?.isSecret === true) {
      throw new AppError('usage', `${name} is a secret, and is not taken from the command line`, {
        hint: `Write it into a file, mode 0600, and give --set-file ${name}=FILE.`,
      })
    }
    given.set(name, value)
  }
  for (const text of options.setFile ?? []) {
    const [name, file] = pairOf('--set-file', text)
    given.set(name, readSecret({ file: resolve(io.cwd, file) }, io.env))
  }
  return given
}

function pairOf(flag: string, text: string): readonly [string, string] {
  const at = text.indexOf('=')
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)]
  throw new AppError('usage', `${flag} ${flag === '--set' ? 'expects name=value' : 'expects name=file'}`)
}

function summary({ recipe, file, isOwn }: FoundRecipe): object {
  const { name, title, since, handlers } = recipe
  return { name, title, since, handlers: handlers.length, own: isOwn, file }
}
