import { KNOWN_VALUES, placesIn, prefixOf, RECIPE_NAME, textsOf, type Recipe } from '../core/source/recipe.ts'
import { ConfigError, showPath, type Problem } from './problem.ts'
import { BAD, isSection, list, mapOf, Reason, section, single, type Key, type Value } from './keys/value.ts'
import * as values from './keys/values.ts'
import { parseYaml } from './yaml-source.ts'

/** The YAML of a recipe: what may stand in it, and the mistakes with their lines. docs/reference/recipe-file.md explains the keys. */

function required<T>(value: Value<T>): Key<T> {
  return { doc: '', value, missing: null, fallback: null, change: 'reload' }
}

function optional<T, F>(value: Value<T>, fallback: F): Key<T | F> {
  return { doc: '', value, missing: { value: fallback }, fallback: null, change: 'reload' }
}

const BODY_LENGTH_MAX = 20_000
const body = single('a text', { type: 'string' }, (raw) =>
  typeof raw === 'string' && raw.length <= BODY_LENGTH_MAX ? raw : new Reason(''),
)
const version = values.matching('a version in quotes, as in "3.12"', /^\d{1,2}\.\d{1,3}$/)
const handlerName = values.matching('a short name of letters, digits, spaces and -', /^[a-z][a-z0-9 -]{0,47}$/)
const eventName = values.matching('the name of an event of privacyIDEA, as in token_init', /^[a-z][a-z0-9_]{0,63}$/)
const texts = mapOf(body, 'names and their texts, as in { tokentype: "hotp,totp" }')

const PARAMETER = section({
  text: required(values.text),
  default: optional<string, null>(values.text, null),
  choices: optional<readonly string[], null>(list(values.text, 1, 50, '[script, webhook]'), null),
  secret: optional<boolean, boolean>(values.flag, false),
})

const HANDLER = section({
  name: required(handlerName),
  when: optional<Readonly<Record<string, string>>, Readonly<Record<string, string>>>(texts, {}),
  events: required(list(eventName, 1, 50, '[token_init]')),
  position: optional<'pre' | 'post', 'post'>(values.choice(['pre', 'post']), 'post'),
  ordering: optional<number, number>(values.integer(-1000, 1000), 0),
  module: required(values.text),
  action: required(values.text),
  conditions: optional<Readonly<Record<string, string>>, Readonly<Record<string, string>>>(texts, {}),
  options: optional<Readonly<Record<string, string>>, Readonly<Record<string, string>>>(texts, {}),
})

const KEYS = {
  title: required(values.text),
  purpose: required(values.text),
  risk: required(values.text),
  since: optional<string, string>(version, '3.11'),
  needs: optional<readonly string[], readonly string[]>(list(values.text, 0, 20, '[an SMTP server]'), []),
  parameters: optional(mapOf(PARAMETER, 'names of parameters, each with its text'), {}),
  handlers: required(list(HANDLER, 1, 50, '[{ name: mail, … }]')),
}
const recipeFile = section(KEYS)

/**
 * @param file for messages: `FILE:LINE:COLUMN`
 * @param prefix null: the usual one of a recipe of this name
 * Fails with `config-invalid`, all mistakes at once.
 */
export function parseRecipe(text: string, name: string, file: string, prefix: string | null): Recipe {
  const source = parseYaml(text)
  if (source.problems.length > 0) throw new ConfigError(file, source.problems, 'the recipe')
  const raw = source.value ?? null
  const whole = { severity: 'error' as const, line: 1, column: 1, key: '' }
  if (!isSection(raw))
    throw new ConfigError(file, [{ ...whole, message: 'title:, purpose:, … are expected' }], 'the recipe')
  const problems: Problem[] = []
  if (!RECIPE_NAME.test(name)) {
    problems.push({
      ...whole,
      message: 'the name of the file must be lower-case letters, digits and -, as in chat.yaml',
    })
  }
  const report = (path: readonly (string | number)[], which: 'key' | 'value', message: string): void => {
    const place = which === 'key' ? source.placeOfKey(path) : source.placeOf(path)
    problems.push({ severity: 'error', ...place, key: showPath(path), message })
  }
  const parsed = recipeFile.read(raw, [], { root: KEYS, report })
  if (parsed !== BAD) relate(parsed, report)
  if (parsed === BAD || problems.length > 0) throw new ConfigError(file, problems, 'the recipe')
  return {
    ...parsed,
    name,
    parameters: Object.fromEntries(
      Object.entries(parsed.parameters).map(([key, { text: meaning, default: fallback, choices, secret }]) => [
        key,
        { text: meaning, fallback, choices, isSecret: secret },
      ]),
    ),
    prefix: prefix ?? prefixOf(name),
  }
}

type Parsed = Exclude<ReturnType<typeof recipeFile.read>, typeof BAD>

/** Rules between the values of several keys. */
function relate(
  parsed: Parsed,
  report: (path: (string | number)[], which: 'key' | 'value', message: string) => void,
): void {
  const parameters = Object.keys(parsed.parameters)
  for (const name of parameters) {
    if (!/^[A-Za-z][A-Za-z0-9]{0,31}$/.test(name)) {
      report(['parameters', name], 'key', 'the name of a parameter is letters and digits, as in helpDesk')
    } else if (KNOWN_VALUES.includes(name)) {
      report(['parameters', name], 'key', `Lockstep fills in ${name} itself; take another name`)
    }
  }
  const names = new Set<string>()
  for (const [index, handler] of parsed.handlers.entries()) {
    const key = JSON.stringify([handler.name, handler.when])
    if (names.has(key)) report(['handlers', index, 'name'], 'value', 'a second handler of this name')
    names.add(key)
    for (const name of Object.keys(handler.when)) {
      if (!parameters.includes(name)) report(['handlers', index, 'when', name], 'key', 'no parameter has this name')
    }
    for (const place of textsOf(handler).flatMap(placesIn)) {
      if (parameters.includes(place) || KNOWN_VALUES.includes(place)) continue
      const known = [...parameters, ...KNOWN_VALUES].join(', ')
      report(['handlers', index], 'value', `\${${place}} is no parameter; known are ${known}`)
    }
  }
}
