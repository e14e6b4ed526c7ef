/**
 * The value of each key of a configuration file, defaults included, as JSON text, by its path as in `guards.dryRun`.
 * No secret is in it, since none is in the file.
 */
export type ConfigKeys = Readonly<Record<string, string>>

/**
 * The keys in which two configurations differ; a section that only one of them has is named as a whole. A key that the
 * other one's version does not have, although it has the section, is no difference.
 */
export function differingKeys(a: ConfigKeys, b: ConfigKeys): string[] {
  const found = new Set<string>()
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    for (const [path, value] of Object.entries(one)) {
      if (Object.hasOwn(other, path)) {
        if (other[path] !== value) found.add(path)
      } else {
        const whole = missingPart(path, other)
        if (whole !== null) found.add(whole)
      }
    }
  }
  return [...found].toSorted().filter((path, _, all) => !all.some((each) => path.startsWith(`${each}.`)))
}

/** The outermost section of the path that is not there; null: only its last key is not. */
function missingPart(path: string, keys: ConfigKeys): string | null {
  const names = path.split('.')
  const all = Object.keys(keys)
  for (let length = 1; length < names.length; length++) {
    const section = names.slice(0, length).join('.')
    if (!all.some((each) => each.startsWith(`${section}.`))) return section
  }
  return null
}

/** `part` of the keys as another configuration has it, which may be not at all. */
export function withKeysOf(keys: ConfigKeys, parts: readonly string[], other: ConfigKeys): ConfigKeys {
  const isPart = (path: string): boolean => parts.some((part) => path === part || path.startsWith(`${part}.`))
  const entries = [
    ...Object.entries(keys).filter(([path]) => !isPart(path)),
    ...Object.entries(other).filter(([path]) => isPart(path)),
  ]
  return Object.fromEntries(entries.toSorted(([one], [two]) => (one < two ? -1 : 1)))
}
