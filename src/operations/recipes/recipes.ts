import { AppError } from '../../core/error.ts'
import {
  filledHandlers,
  placesOf,
  filledParameters,
  type FilledHandler,
  type Recipe,
  type RecipeProblem,
} from '../../core/source/recipe.ts'
import type { SourceSettings } from '../../core/settings/settings.ts'
import { systemClock } from '../../ports/clock.ts'
import type { SecretReader } from '../../ports/secret.ts'
import {
  contentTypeOf,
  diffBindings,
  type Binding,
  type BindingChange,
  type ExistingBinding,
} from '../../privacyidea/setup/bindings.ts'
import { Client } from '../../privacyidea/http/client.ts'
import { makeChange, offeredContentTypes, readHandlers } from '../../privacyidea/setup/event-handlers.ts'
import { readOffers, unknownIn } from '../../privacyidea/setup/event-offers.ts'
import { isAtLeast } from '../../privacyidea/setup/policies.ts'

/** `lockstep recipes`: compares recipes with a privacyIDEA, applies and removes them. To be disposed of. */
export interface RecipeServer extends AsyncDisposable {
  readonly url: string
  /** How many handlers of each of these recipes exist there. */
  standing(recipes: readonly Recipe[]): Promise<ReadonlyMap<string, number>>
  /**
   * What applying it would change; reads only. Fails with `usage` where a parameter is missing or wrong, with
   * `source-answer` where this privacyIDEA does not offer what the recipe uses.
   */
  planApply(recipe: Recipe, parameters: ReadonlyMap<string, string>): Promise<RecipePlan>
  /** What removing it would change. */
  planRemove(recipe: Recipe): Promise<RecipePlan>
  /** Makes the changes, and reads again to check them. */
  make(plan: RecipePlan): Promise<void>
}

export interface RecipePlan {
  readonly recipe: Recipe
  readonly version: string
  readonly changes: readonly BindingChange[]
  readonly wanted: readonly Binding[]
}

/** @param hookUrl gives the webhook's address with its secret, when a recipe asks for it */
export function openRecipeServer(
  source: SourceSettings,
  readSecret: SecretReader,
  hookUrl: () => string,
): RecipeServer {
  const client = new Client(source, readSecret, systemClock)
  return {
    url: source.url,
    standing: async (recipes) => {
      const handlers = await readHandlers(client)
      return new Map(recipes.map((recipe) => [recipe.name, handlers.filter(({ name }) => owns(recipe)(name)).length]))
    },
    planApply: (recipe, parameters) => planApply(client, recipe, parameters, hookUrl),
    planRemove: async (recipe) => planOf(client, recipe, await readHandlers(client), []),
    make: (plan) => make(client, plan),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}

/** The handlers with their parameters filled in. Fails with `usage`, all mistakes at once. */
export function filledRecipe(
  recipe: Recipe,
  parameters: ReadonlyMap<string, string>,
  known: ReadonlyMap<string, string>,
): readonly FilledHandler[] {
  const { values, problems } = filledParameters(recipe, parameters)
  if (problems.length > 0) throw wrongParameters(recipe, problems)
  return filledHandlers(recipe, new Map([...values, ...known]))
}

function wrongParameters(recipe: Recipe, problems: readonly RecipeProblem[]): AppError {
  const lines = problems.map(({ parameter, message }) => `  ${parameter}: ${message}`)
  const [first] = problems
  const flag = first !== undefined && recipe.parameters[first.parameter]?.isSecret === true ? '--set-file' : '--set'
  return new AppError('usage', [`the recipe ${recipe.name}:`, ...lines].join('\n'), {
    hint: `Give ${flag} ${first?.parameter ?? 'name'}=…; "lockstep recipes show ${recipe.name}" lists the parameters.`,
  })
}

async function planApply(
  client: Client,
  recipe: Recipe,
  parameters: ReadonlyMap<string, string>,
  hookUrl: () => string,
): Promise<RecipePlan> {
  const { values, problems } = filledParameters(recipe, parameters)
  if (problems.length > 0) throw wrongParameters(recipe, problems)
  const existing = await readHandlers(client)
  const { text: version } = await client.version()
  const [major = 0, minor = 0] = recipe.since.split('.').map(Number)
  if (!isAtLeast(version, major, minor)) {
    throw new AppError(
      'source-answer',
      `the recipe ${recipe.name} needs privacyIDEA ${recipe.since}; this is ${version}`,
    )
  }
  const places = placesOf(recipe, values)
  const known = new Map<string, string>()
  if (places.has('hookUrl')) known.set('hookUrl', hookUrl())
  if (places.has('contentType')) known.set('contentType', await contentTypeFor(client))
  const wanted = filledRecipe(recipe, parameters, known)
  const offers = await readOffers(
    client,
    wanted.map(({ module }) => module),
  )
  const unknown = unknownIn(wanted, offers)
  if (unknown.length === 0) return planOf(client, recipe, existing, wanted)
  throw new AppError('source-answer', [`privacyIDEA ${version} does not know:`, ...unknown].join('\n  '), {
    hint: 'Nothing was changed. Make there what is missing, or give another value with --set.',
  })
}

async function contentTypeFor(client: Client): Promise<string> {
  const contentType = contentTypeOf(await offeredContentTypes(client))
  if (contentType !== null) return contentType
  throw new AppError('source-answer', 'this privacyIDEA offers no url-encoded body for webhooks')
}

async function planOf(
  client: Client,
  recipe: Recipe,
  existing: readonly ExistingBinding[],
  wanted: readonly Binding[],
): Promise<RecipePlan> {
  const { text: version } = await client.version()
  return { recipe, version, wanted, changes: diffBindings(existing, wanted, owns(recipe)) }
}

function owns(recipe: Recipe): (name: string) => boolean {
  const names = new Set(recipe.handlers.map(({ name }) => `${recipe.prefix}${name}`))
  // A handler from an older form of the recipe is its own too; the set-up's prefix is shared, so there names count.
  const isOwnPrefix = recipe.prefix.startsWith('lockstep recipe ')
  return (name) => names.has(name) || (isOwnPrefix && name.startsWith(recipe.prefix))
}

async function make(client: Client, plan: RecipePlan): Promise<void> {
  for (const change of plan.changes) await makeChange(client, change)
  const left = diffBindings(await readHandlers(client), plan.wanted, owns(plan.recipe)).filter(
    ({ kind }) => kind !== 'same',
  )
  if (left.length === 0) return
  throw new AppError(
    'source-answer',
    `privacyIDEA took the change, and then showed something else for ${plan.recipe.name}`,
    {
      hint: 'Somebody else may be changing it: run it again. --dry-run shows what differs.',
    },
  )
}
