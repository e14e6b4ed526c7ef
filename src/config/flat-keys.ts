import type { ConfigKeys } from '../core/settings/config-keys.ts'
import { CONFIG_KEYS, type ConfigFile } from './keys/schema.ts'
import { isSection, type Key, type Keys } from './keys/value.ts'

/** Every key of a file that was read, to the depth that the manual lists. */
export function flatKeys(parsed: ConfigFile): ConfigKeys {
  const found: [string, string][] = []
  flatten(CONFIG_KEYS, parsed, [], found)
  return Object.fromEntries(found.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function flatten(
  keys: Keys,
  parsed: Readonly<Record<string, unknown>>,
  path: readonly string[],
  found: [string, string][],
): void {
  for (const [name, key] of Object.entries(keys)) flattenKey(key, parsed[name], [...path, name], found)
}

function flattenKey(
  { value }: Key<unknown>,
  parsed: unknown,
  path: readonly string[],
  found: [string, string][],
): void {
  const inner = value.named?.children ?? null
  if (value.children !== null && isSectionOf(value.children, parsed)) flatten(value.children, parsed, path, found)
  else if (inner !== null && isSection(parsed)) {
    for (const [name, each] of Object.entries(parsed)) if (isSection(each)) flatten(inner, each, [...path, name], found)
  } else found.push([path.join('.'), JSON.stringify(parsed ?? null)])
}

/** Some values may be written as a section and become another type once they were read. */
function isSectionOf(keys: Keys, parsed: unknown): parsed is Readonly<Record<string, unknown>> {
  return isSection(parsed) && Object.keys(parsed).every((name) => Object.hasOwn(keys, name))
}

/** What a change of a key needs to take effect. */
export type KeyChange = Key<unknown>['change']

/** @param path as in flatKeys; the path of a section, present or not, is allowed too */
export function changeOfKey(path: string): KeyChange {
  let keys: Keys | null = CONFIG_KEYS
  let change: KeyChange = 'reload'
  const names = path.split('.')
  for (let at = 0; at < names.length && keys !== null; at++) {
    const key: Key<unknown> | undefined = keys[names[at] ?? '']
    if (key === undefined) return 'reload'
    change = at === names.length - 1 ? key.change : 'reload'
    if (key.value.named !== null) at++
    keys = key.value.children ?? key.value.named?.children ?? null
  }
  return change
}
