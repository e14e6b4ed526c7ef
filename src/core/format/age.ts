const UNITS: readonly (readonly [name: string, ms: number, fromMs: number])[] = [
  ['d', 86_400_000, 172_800_000],
  ['h', 3_600_000, 7_200_000],
  ['min', 60_000, 120_000],
  ['s', 1_000, 0],
]

/** A span for people, in one unit: `90 s`, `2 min`, `47 h`, `3 d`. */
export function age(ms: number): string {
  const [name, unitMs] = UNITS.find(([, , fromMs]) => ms >= fromMs) ?? ['s', 1_000]
  return `${Math.max(0, Math.floor(ms / unitMs))} ${name}`
}
