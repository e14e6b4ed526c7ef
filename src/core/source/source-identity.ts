import type { Serial } from '../names.ts'
import type { Token } from './token.ts'

/**
 * Which privacyIDEA answers. Its API shows no id of a server that would do (docs/adr/0017), so it is recognized by what
 * it shows: tokens of the record with the ids and the times at which they were made, and rows of its audit log. One
 * database shows the same through each of its nodes, after an upgrade, and, as far as it goes back, after a restored
 * backup.
 */
export interface SourceIdentity {
  readonly tokens: readonly TokenMark[]
  readonly rows: readonly AuditMark[]
}

/** A token by which a server is recognized. */
export interface TokenMark {
  readonly serial: Serial
  /** Null: not known, of a store of an older version. */
  readonly id: number | null
  /** When it was made, as the server reports it; null: not known. */
  readonly made: string | null
}

/** A row of the audit log by which a server is recognized. */
export interface AuditMark {
  readonly number: number
  /** As the server reports it. */
  readonly date: string
  /** When it was read, in milliseconds since 1970 by our clock. */
  readonly atMs: number
}

/** `same`: proven. `other`: proven. `unproven`: the tokens alone do not decide. */
export type TokenVerdict = 'same' | 'other' | 'unproven'

/** Tokens that are kept of a server, the oldest and the newest. */
export const TOKEN_MARKS_MAX = 64
/** Rows that are kept: the first one, and the newest. */
const AUDIT_MARKS_MAX = 5
/** So many tokens that were made in the same second, with the same serial and id, are proof. */
const MADE_ALIKE_MIN = 2
/** So many tokens that are all gone are another server's, where nothing else shows whose they were. */
const GONE_MIN = 3

export function tokenMark({ serial, id, madeAt }: Pick<Token, 'serial' | 'id' | 'madeAt'>): TokenMark {
  return { serial, id, made: madeAt }
}

/**
 * Tokens that were made in the same second, with the same serial and id, are proof. One alone is none: ids are small
 * numbers that every server counts from 1, serials are imported from one list, and a script that sets up two servers makes
 * their first tokens in one second. Where most of the tokens fit it is the same server, whatever is known of the times.
 */
export function judgeTokens(recorded: readonly TokenMark[], shown: readonly TokenMark[]): TokenVerdict {
  if (recorded.length === 0) return 'unproven'
  const now = new Map(shown.map((mark) => [mark.serial, mark]))
  let fitting = 0
  let madeAlike = 0
  for (const mark of recorded) {
    const found = now.get(mark.serial)
    if (found === undefined || (mark.id !== null && found.id !== mark.id)) continue
    const isTimeKnown = mark.id !== null && mark.made !== null && found.made !== null
    if (isTimeKnown && mark.made !== found.made) continue
    fitting++
    if (isTimeKnown) madeAlike++
  }
  return madeAlike >= MADE_ALIKE_MIN || fitting * 2 > recorded.length ? 'same' : 'unproven'
}

/** The verdict of the tokens where the audit log gives none: a few that are gone were deleted. */
export function judgeTokensAlone(recorded: readonly TokenMark[], shown: readonly TokenMark[]): TokenVerdict {
  const verdict = judgeTokens(recorded, shown)
  if (verdict === 'same' || recorded.length === 0) return 'same'
  return shown.length > 0 || recorded.length >= GONE_MIN ? 'other' : 'unproven'
}

/** With a newer row; the first one stays, since a restored backup may be old. */
export function withAuditMark(rows: readonly AuditMark[], mark: AuditMark): readonly AuditMark[] {
  const all = [...rows.filter(({ number }) => number < mark.number), mark]
  if (all.length <= AUDIT_MARKS_MAX) return all
  return [...all.slice(0, 1), ...all.slice(1 - AUDIT_MARKS_MAX)]
}
