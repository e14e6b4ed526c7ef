import { parseReason, reasonText } from '../core/reasons/reason.ts'

/**
 * What Lockstep knows, as `--json` prints it (docs/reference/json.md): instants are RFC 3339 texts, reasons are codes with
 * parameters and their sentence. Names decide: an instant is `…Ms` or `…Us` within the program (a number since 1970), and
 * `…At` outside, or `at`, `since`, `until`, `from`, `to`; a length of time stays `…Ms`.
 */

/** Lengths of time in milliseconds: what else ends with `Ms` is an instant. */
const LENGTHS: ReadonlySet<string> = new Set([
  'ageMs',
  'agoMs',
  'drainedAgoMs',
  'forMs',
  'oldestDueMs',
  'perMs',
  'recentForMs',
  'servedAgoMs',
  'tookMs',
])
/** Names of instants without a suffix. */
const WHOLE_NAMES: ReadonlySet<string> = new Set(['at', 'since', 'until', 'from', 'to'])
const MICROSECONDS = 6
/** The last instant that a date can be (ECMA-262, time values). */
const INSTANT_MS_MAX = 8.64e15

/** @param value data as JSON can hold it: no class, no function */
export function toWire(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toWire)
  if (typeof value !== 'object' || value === null) return value
  // A reason that has its sentence stays unchanged: health has codes of its own.
  const reason = 'text' in value ? null : parseReason(value)
  if (reason !== null) return wireReason(reason.code, reason.params, reasonText(reason))
  return objectToWire(value)
}

type Fields = Readonly<Record<string, unknown>>

function objectToWire(value: object): object {
  const fields = value as Fields
  if (isFinding(fields)) {
    const { kind: code, params = {}, reason: text, ...rest } = fields
    return objectToWire({ code, params: params ?? {}, text, ...rest })
  }
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, each]): [string, unknown][] => {
      if (isPartOfReason(name, fields)) return []
      if (hasParts(name, fields)) {
        return [[name, reasonOf(fields[`${name}Code`], fields[`${name}Params`] ?? {}, each)]]
      }
      return [name === 'reason' && typeof each === 'string' ? ['text', each] : field(name, each)]
    }),
  )
}

/** Something to look at, rendered already. */
function isFinding({ kind, reason, fix }: Fields): boolean {
  return [kind, reason, fix].every((each) => typeof each === 'string')
}

/** A reason in parts, rendered already: `why`, `whyCode` and perhaps `whyParams`. */
function hasParts(name: string, fields: Fields): boolean {
  return `${name}Params` in fields || ((name === 'why' || name === 'reason') && `${name}Code` in fields)
}

/** `reasonCode` and `reasonParams` go into `reason`. */
function isPartOfReason(name: string, fields: Fields): boolean {
  const whole = /^(.+)(?:Code|Params)$/.exec(name)?.[1]
  return whole !== undefined && whole in fields && hasParts(whole, fields)
}

/** A reason that was rendered already; null where there is none. */
function reasonOf(code: unknown, params: unknown, text: unknown): object | null {
  if (typeof code === 'string') return wireReason(code, params, text)
  return typeof text === 'string' && text !== '' ? wireReason('plain-text', { text }, text) : null
}

function wireReason(code: string, params: unknown, text: unknown): object {
  return { code, params: toWire(params), text }
}

function field(name: string, value: unknown): [string, unknown] {
  // `lockedByUs` and the like are about us, not microseconds.
  if (name.endsWith('Us') && !name.endsWith('ByUs') && isInstant(value))
    return [nameOfInstant(name), fromMicroseconds(value)]
  if (!name.endsWith('Ms') || LENGTHS.has(name)) return [name, toWire(value)]
  if (Array.isArray(value)) return [nameOfInstant(name), value.map(fromMilliseconds)]
  return isInstant(value) ? [nameOfInstant(name), fromMilliseconds(value)] : [name, toWire(value)]
}

function isInstant(value: unknown): value is number | null {
  return value === null || typeof value === 'number'
}

/** `loadedMs` → `loadedAt`, `plannedAtMs` → `plannedAt`, `sinceMs` → `since`. */
function nameOfInstant(name: string): string {
  const bare = name.slice(0, -2)
  return WHOLE_NAMES.has(bare) || bare.endsWith('At') ? bare : `${bare}At`
}

function fromMilliseconds(ms: number | null): string | null {
  return ms === null ? null : new Date(Math.max(-INSTANT_MS_MAX, Math.min(INSTANT_MS_MAX, ms))).toISOString()
}

function fromMicroseconds(us: number | null): string | null {
  if (us === null) return null
  const text = fromMilliseconds(Math.floor(us / 1000)) ?? ''
  const fraction = String(((us % 1_000_000) + 1_000_000) % 1_000_000).padStart(MICROSECONDS, '0')
  return text.replace(/\.\d+Z$/, `.${fraction}Z`)
}
