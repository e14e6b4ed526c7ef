/** How a duration is written. A single day is 24 hours: `1d` is easily read as a calendar day. */

const UNITS = [
  { written: 'd', name: 'd', ms: 86_400_000, fromMs: 172_800_000 },
  { written: 'h', name: 'h', ms: 3_600_000, fromMs: 3_600_000 },
  { written: 'm', name: 'min', ms: 60_000, fromMs: 60_000 },
  { written: 's', name: 's', ms: 1_000, fromMs: 1_000 },
  { written: 'ms', name: 'ms', ms: 1, fromMs: 0 },
] as const
/** A smaller unit is preferred to a fraction up to this count: `90 min`, but `2.5 h`. */
const WHOLE_MAX = 120

/** As the configuration and the options take it: `10m`, `1h`, `24h`, `90d`. Exact. @param ms whole */
export function writtenDuration(ms: number): string {
  const unit = UNITS.find(({ ms: each, fromMs }) => ms >= fromMs && ms % each === 0)
  return unit === undefined ? `${ms}ms` : `${ms / unit.ms}${unit.written}`
}

/** For people, in one unit: `10 min`, `24 h`, `90 d`; to one decimal where it is whole in no unit. */
export function span(ms: number): string {
  const fitting = UNITS.filter(({ fromMs }) => ms >= fromMs)
  const whole = fitting.find((unit) => ms % unit.ms === 0 && (unit === fitting[0] || ms / unit.ms < WHOLE_MAX))
  const unit = whole ?? fitting[0]
  return unit === undefined ? `${ms} ms` : `${Number((ms / unit.ms).toFixed(1))} ${unit.name}`
}
