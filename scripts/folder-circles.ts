import { text } from 'node:stream/consumers'

/**
 * Folders beside each other that import each other, directly or over further ones, read from what dependency-cruiser prints
 * as JSON: `depcruise --output-type json src | node scripts/folder-circles.ts`. Imports of types count as well. A folder and
 * what is within it are one: files of a folder may import those below it.
 */

interface Cruise {
  readonly modules: readonly {
    readonly source: string
    readonly dependencies: readonly { readonly resolved: string }[]
  }[]
}

/** From a folder to those beside it that it imports, each with the imports between files. */
type Folders = Map<string, Map<string, string[]>>

function foldersOf({ modules }: Cruise): Folders {
  const folders: Folders = new Map()
  for (const { source, dependencies } of modules) {
    for (const { resolved } of dependencies) {
      const pair = besideEachOther(source.split('/').slice(0, -1), resolved.split('/').slice(0, -1))
      if (pair === null) continue
      const imported = folders.get(pair.from) ?? new Map<string, string[]>()
      folders.set(pair.from, imported)
      imported.set(pair.to, [...(imported.get(pair.to) ?? []), `${source} → ${resolved}`])
    }
  }
  return folders
}

/** The two folders at which the paths part; null: one lies within the other. */
function besideEachOther(from: readonly string[], to: readonly string[]): { from: string; to: string } | null {
  const at = from.findIndex((name, index) => name !== to[index])
  if (at === -1 || at >= to.length) return null
  return { from: from.slice(0, at + 1).join('/'), to: to.slice(0, at + 1).join('/') }
}

/** The shortest way back, as folders; null: there is none. */
function wayBack(folders: Folders, from: string, to: string): string[] | null {
  const ways = [[from]]
  const seen = new Set([from])
  for (const way of ways) {
    for (const next of folders.get(way.at(-1) ?? '')?.keys() ?? []) {
      if (next === to) return [...way, next]
      if (!seen.has(next)) ways.push([...way, next])
      seen.add(next)
    }
  }
  return null
}

/** A line for each circle, then those of the imports that make it. Empty: there is none. */
export function folderCircles(cruise: Cruise): string[] {
  const folders = foldersOf(cruise)
  const reported = new Set<string>()
  return [...folders].flatMap(([from, imported]) =>
    [...imported.keys()].flatMap((to) => {
      const circle = wayBack(folders, to, from)
      const id = circle?.toSorted().join() ?? ''
      if (circle === null || reported.has(id)) return []
      reported.add(id)
      const steps = [from, ...circle].map((name, index, all) => folders.get(name)?.get(all[index + 1] ?? '') ?? [])
      return [[from, ...circle].join(' → '), ...steps.flat().map((line) => `  ${line}`)]
    }),
  )
}

if (import.meta.main) {
  const lines = folderCircles(JSON.parse(await text(process.stdin)) as Cruise)
  if (lines.length > 0) {
    console.error('folders that import each other: move what both need into one of them, or below both')
    for (const line of lines) console.error(`  ${line}`)
    process.exitCode = 1
  }
}
