import { age } from '../../core/format/age.ts'
import type { ShownToken, TokensUnread } from '../../operations/accounts/shown-tokens.ts'
import { plain } from '../terminal/output.ts'

/** The tokens of an account, as `show` has them: a line for each. */

const STATES: Readonly<Record<NonNullable<ShownToken['state']>, string>> = {
  active: 'active',
  disabled: 'disabled',
  revoked: 'revoked',
  enrolling: 'not enrolled yet',
  'not-listed': 'not listed by privacyIDEA',
}

export function tokenLines({
  tokens,
  tokensUnread,
}: {
  readonly tokens: readonly ShownToken[]
  readonly tokensUnread: TokensUnread | null
}): (readonly [label: string, text: string])[] {
  const nowMs = Date.now()
  const isAsked = tokensUnread !== null
  const lines = tokens.map((token) => ['token', tokenText(token, nowMs, isAsked)] as const)
  if (tokensUnread === null) return lines
  return [...lines, ['', `privacyIDEA could not be asked: ${plain(tokensUnread.reason)}`]]
}

/**
 * `OATH1: hotp, active, fail counter 3 of 10; read 12 s ago`; `-` is a counter that is not known.
 * @param isApi there is a privacyIDEA to be asked
 */
export function tokenText(
  { serial, type, state, failCount, failCountMax, readMs }: ShownToken,
  nowMs: number,
  isApi: boolean,
): string {
  if (state === null || readMs === null)
    return `${serial}: fail counter -, ${isApi ? 'not read yet' : 'not known in mode events'}`
  const counter = state === 'not-listed' ? [] : [counterText(failCount, failCountMax)]
  const what = [...(type === null ? [] : [plain(type)]), STATES[state], ...counter].join(', ')
  return `${serial}: ${what}; read ${age(Math.max(0, nowMs - readMs))} ago`
}

function counterText(count: number | null, max: number | null): string {
  if (count === null || max === null) return 'fail counter -'
  return `fail counter ${count} of ${max}${count >= max ? ', full' : ''}`
}
