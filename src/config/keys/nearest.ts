/** Damerau–Levenshtein distance (optimal string alignment): inserts, deletes, changes and swaps of neighbours. */
export function editDistance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (before[j - 2] ?? 0) + 1)
      row.push(best)
    }
    before = last
    last = row
  }
  return last[b.length] ?? 0
}

/** Longer texts are no typing mistake of a key; this bounds the work. */
const LENGTH_MAX = 64

/** @returns the known name that was probably meant, or null when none is near */
export function nearest(written: string, known: readonly string[]): string | null {
  if (written.length > LENGTH_MAX) return null
  const wanted = written.toLowerCase().replaceAll(/[-_]/g, '')
  let best: string | null = null
  let bestDistance = Infinity
  for (const name of known) {
    const startsAlike = wanted.length >= 4 && name.toLowerCase().startsWith(wanted)
    const distance = startsAlike ? 0.5 : editDistance(wanted, name.toLowerCase())
    const limit = Math.max(1, Math.floor(Math.max(wanted.length, name.length) / 3))
    if (distance <= limit && distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}
