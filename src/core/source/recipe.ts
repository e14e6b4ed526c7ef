/**
 * A recipe: a set of event handlers of privacyIDEA that has proven useful, as data, with parameters that are filled in
 * when it is applied. Pure. `${name}` in a text stands for a parameter, or for one of the values that Lockstep has
 * itself.
 */
export interface Recipe {
  /** The name of its file. */
  readonly name: string
  readonly title: string
  readonly purpose: string
  /** What can go wrong, and who should not use it. */
  readonly risk: string
  /** Oldest version of privacyIDEA that it works on, as in `3.11`. */
  readonly since: string
  /** The preconditions, as text. */
  readonly needs: readonly string[]
  readonly parameters: Readonly<Record<string, RecipeParameter>>
  readonly handlers: readonly RecipeHandler[]
  /** What the names of its handlers begin with in privacyIDEA: nobody else has a reason to use it. */
  readonly prefix: string
}

export interface RecipeParameter {
  readonly text: string
  /** Null: it has to be given. */
  readonly fallback: string | null
  /** The allowed values; null: any line of text. */
  readonly choices: readonly string[] | null
  /** It is never shown, and never taken from the command line itself. */
  readonly isSecret: boolean
}

export interface RecipeHandler {
  readonly name: string
  /** Only where these parameters have these values. */
  readonly when: Readonly<Record<string, string>>
  readonly events: readonly string[]
  readonly position: 'pre' | 'post'
  readonly ordering: number
  readonly module: string
  readonly action: string
  readonly conditions: Readonly<Record<string, string>>
  readonly options: Readonly<Record<string, string>>
}

/** An event handler as privacyIDEA would have it. */
export interface FilledHandler extends Omit<RecipeHandler, 'when'> {
  readonly isActive: boolean
}

export interface RecipeProblem {
  readonly parameter: string
  readonly message: string
}

/** `${contentType}`: the version's name of a url-encoded body. `${hookUrl}`: the webhook, its secret in it. */
export const KNOWN_VALUES: readonly string[] = ['contentType', 'hookUrl']
export const RECIPE_NAME = /^[a-z][a-z0-9-]{0,47}$/

const PLACE = /\$\{([A-Za-z][A-Za-z0-9]*)\}/g
const VALUE_LENGTH_MAX = 2000
// eslint-disable-next-line no-control-regex -- control characters are what it refuses
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

export function prefixOf(name: string): string {
  return `lockstep recipe ${name}: `
}

/** The names of `${…}` in a text. */
export function placesIn(text: string): readonly string[] {
  return [...text.matchAll(PLACE)].map((match) => match[1] ?? '')
}

/** The names of all places of the handlers that apply. */
export function placesOf(recipe: Recipe, parameters: ReadonlyMap<string, string>): ReadonlySet<string> {
  return new Set(applying(recipe, parameters).flatMap((handler) => textsOf(handler).flatMap(placesIn)))
}

/** Every text of a handler that may hold places. */
export function textsOf(handler: RecipeHandler): readonly string[] {
  return [handler.action, ...Object.values(handler.conditions), ...Object.values(handler.options)]
}

/** The parameters with their defaults, and the faults of the given ones. */
export function filledParameters(
  recipe: Recipe,
  given: ReadonlyMap<string, string>,
): { readonly values: ReadonlyMap<string, string>; readonly problems: readonly RecipeProblem[] } {
  const values = new Map<string, string>()
  const problems: RecipeProblem[] = []
  for (const name of given.keys()) {
    if (Object.hasOwn(recipe.parameters, name)) continue
    const known = Object.keys(recipe.parameters)
    const rest = known.length === 0 ? 'it takes none' : `it takes ${known.join(', ')}`
    problems.push({ parameter: name, message: `the recipe ${recipe.name} has no such parameter; ${rest}` })
  }
  for (const [name, parameter] of Object.entries(recipe.parameters)) {
    const value = given.get(name) ?? parameter.fallback
    const problem = value === null ? `is missing: ${parameter.text}` : problemOf(value, parameter)
    if (problem !== null) problems.push({ parameter: name, message: problem })
    if (value !== null) values.set(name, value)
  }
  // A parameter that only handlers use which do not apply may be left out.
  const used = placesOf(recipe, values)
  const chosen = new Set(recipe.handlers.flatMap((handler) => Object.keys(handler.when)))
  const counts = ({ parameter }: RecipeProblem): boolean =>
    given.has(parameter) || used.has(parameter) || chosen.has(parameter)
  return { values, problems: problems.filter(counts) }
}

function problemOf(value: string, { choices }: RecipeParameter): string | null {
  if (choices !== null) return choices.includes(value) ? null : `expected one of ${choices.join(', ')}`
  if (value === '') return 'is empty'
  if (value.length > VALUE_LENGTH_MAX) return `is longer than ${VALUE_LENGTH_MAX} characters`
  return CONTROL.test(value) ? 'holds control characters; one line of text is expected' : null
}

/** @param values the settled parameters and the known values; every place that applies must be among them */
export function filledHandlers(recipe: Recipe, values: ReadonlyMap<string, string>): readonly FilledHandler[] {
  const fill = (text: string): string => text.replace(PLACE, (_all, name: string) => values.get(name) ?? '')
  const fillAll = (texts: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
    Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, fill(text)]))
  return applying(recipe, values).map(({ when: _when, ...handler }) => ({
    ...handler,
    name: `${recipe.prefix}${handler.name}`,
    isActive: true,
    action: fill(handler.action),
    conditions: fillAll(handler.conditions),
    options: fillAll(handler.options),
  }))
}

function applying(recipe: Recipe, values: ReadonlyMap<string, string>): readonly RecipeHandler[] {
  return recipe.handlers.filter(({ when }) => Object.entries(when).every(([name, value]) => values.get(name) === value))
}
