import type { Row } from './report.ts'

/** One run of the benchmark that is kept: a file of bench/history/, named for the release that it measures. */
export interface BenchRecord {
  /** The release, as `0.1.0`. */
  readonly name: string
  /** As `2026-12-01`. */
  readonly date: string
  readonly machine: string
  /**
   * Processes that wanted a processor, on average over a minute: above 0.7 the figures show the neighbours' work as well. Null: it
   * was not noted, and was below that.
   */
  readonly load: { readonly start: number; readonly end: number } | null
  /** `quick`: with fewer rounds, and smaller sizes. */
  readonly scale: 'full' | 'quick'
  readonly rows: readonly Row[]
  readonly notes: readonly string[]
}

const NAME = /^[a-z0-9][a-z0-9.-]{0,40}$/

/** The name of its file, without a folder; null where this is no name of a release. */
export function recordFileName(name: string): string | null {
  return NAME.test(name) ? `${name}.json` : null
}

/** A figure and its unit, of what a row says was measured: `1,340 us` is 1340 and `us`. Null where it begins with no figure. */
export function figureOf(text: string): { readonly value: number; readonly unit: string } | null {
  const found = /^([\d,]+(?:\.\d+)?) ([^,]+)/.exec(text)
  const [, number, unit] = found ?? []
  return number === undefined || unit === undefined ? null : { value: Number(number.replaceAll(',', '')), unit }
}
