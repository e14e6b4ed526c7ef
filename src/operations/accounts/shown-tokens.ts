import { secretReader } from '../../config/secret.ts'
import { AppError, toAppError, type ErrorCode } from '../../core/error.ts'
import { parseSerial, type AccountKey, type Serial } from '../../core/names.ts'
import { serialKey, type SerialKey } from '../../core/serials/serial-key.ts'
import type { Settings, SourceSettings } from '../../core/settings/settings.ts'
import { tokenReading, type Token, type TokenReading, type TokenState } from '../../core/source/token.ts'
import { systemClock } from '../../ports/clock.ts'
import { openPrivacyIdea } from '../../privacyidea/open-privacyidea.ts'
import type { Store } from '../../store/store.ts'
import { within } from '../../ports/delay.ts'

/** An account's tokens as they are shown: as privacyIDEA has them now, or as they were read last. */

export interface ShownToken {
  readonly serial: string
  /** `hotp`, `totp`, …; null: not known. */
  readonly type: string | null
  /** `not-listed`: privacyIDEA answers, and shows no such token. Null: not known. */
  readonly state: TokenState | 'not-listed' | null
  readonly failCount: number | null
  readonly failCountMax: number | null
  /** When privacyIDEA reported that, in milliseconds since 1970; null: it was never read. */
  readonly readMs: number | null
}

/** Why privacyIDEA could not be read now. */
export interface TokensUnread {
  readonly code: ErrorCode
  readonly reason: string
}

export interface ShownTokens {
  /** Null: privacyIDEA was read, or none is configured (mode `events`). */
  readonly unread: TokensUnread | null
  of(key: AccountKey): readonly ShownToken[]
}

/** The limit of all requests to privacyIDEA together: a command that shows an account must not wait for it. */
const ASKING_MS_MAX = 4_000

/** Never fails because of privacyIDEA. @param accounts each with its serials */
export async function shownTokens(
  settings: Pick<Settings, 'privacyidea'>,
  store: Pick<Store, 'snapshots'>,
  accounts: ReadonlyMap<AccountKey, readonly string[]>,
): Promise<ShownTokens> {
  const recorded = new Map<AccountKey, ReadonlyMap<Serial, TokenReading | null>>()
  for (const [key, serials] of accounts) {
    const read = await store.snapshots.readingsOf(key)
    const known = new Set(read.map(({ serial }) => serialKey(serial)))
    const carried = serials.flatMap((text) => parseSerial(text) ?? []).filter((serial) => !known.has(serialKey(serial)))
    recorded.set(
      key,
      new Map([
        ...read.map((each) => [each.serial, each.reading] as const),
        ...carried.map((serial) => [serial, null] as const),
      ]),
    )
  }
  const all = [...recorded.values()].flatMap((tokens) => [...tokens.keys()])
  const asked = settings.privacyidea === null || all.length === 0 ? null : await askedNow(settings.privacyidea, all)
  return {
    unread: asked !== null && 'code' in asked ? asked : null,
    of: (key) => {
      const tokens = [...(recorded.get(key) ?? [])]
      return tokens.map(([serial, reading]) => {
        return asked === null || 'code' in asked
          ? shownAs(serial, reading)
          : (asked.of(serial) ?? { ...shownAs(serial, null), state: 'not-listed', readMs: asked.readMs })
      })
    },
  }
}

function shownAs(serial: Serial, reading: TokenReading | null): ShownToken {
  if (reading === null) return { serial, type: null, state: null, failCount: null, failCountMax: null, readMs: null }
  return { serial, ...reading, type: reading.type === '' ? null : reading.type }
}

interface Asked {
  readonly readMs: number
  of(serial: Serial): ShownToken | null
}

/** It is read directly, and not through the views that the daemon decides by. */
async function askedNow(settings: SourceSettings, serials: readonly Serial[]): Promise<Asked | TokensUnread> {
  try {
    await using source = openPrivacyIdea(settings, secretReader(process.env), systemClock)
    const reading = source.tokensBySerial(serials)
    // Where it is too late it ends with its connection, and nobody waits for it any more.
    reading.catch(() => undefined)
    if (!(await within(reading, ASKING_MS_MAX))) {
      throw new AppError('source-timeout', `privacyIDEA did not answer within ${ASKING_MS_MAX / 1_000} s`)
    }
    const tokens = await reading
    const readMs = systemClock.nowMs()
    const exact = new Map(tokens.map((token) => [token.serial, token]))
    // In another case it is the same token, unless that spelling is on record too.
    const others = tokens.filter((token) => !serials.includes(token.serial))
    const folded = new Map<SerialKey, Token>(others.map((token) => [serialKey(token.serial), token]))
    return {
      readMs,
      of(serial) {
        const token = exact.get(serial) ?? folded.get(serialKey(serial))
        return token === undefined ? null : shownAs(serial, tokenReading(token, readMs))
      },
    }
  } catch (thrown) {
    const { code, message } = toAppError(thrown)
    return { code, reason: message }
  }
}
