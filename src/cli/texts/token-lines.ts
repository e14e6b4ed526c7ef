import { age } from '../../core/format/age.ts'
import type { ShownToken } from '../../operations/accounts/shown-tokens.ts'
import type { AccountDetails, TimelineEntry } from '../../operations/accounts/details.ts'
import { exactMoment } from '../terminal/moment.ts'
import { plain } from '../terminal/output.ts'

/** The tokens of an account, as in `show`: a line for each. */

const STATES: Readonly<Record<NonNullable<ShownToken['state']>, string>> = {
  active: 'active',
  disabled: 'disabled',
  revoked: 'revoked',
  enrolling: 'not enrolled yet',
  'not-listed': 'not listed by privacyIDEA',
}

type Lines = (readonly [label: string, text: string])[]

export function tokenLines({ tokens, tokensUnread }: Pick<AccountDetails, 'tokens' | 'tokensUnread'>): Lines {
  const nowMs = Date.now()
  const isAsked = tokensUnread !== null
  const lines = tokens.map((token) => ['token', tokenText(token, nowMs, isAsked)] as const)
  if (tokensUnread === null) return lines
  return [...lines, ['', `privacyIDEA could not be asked: ${plain(tokensUnread.reason)}`]]
}

/**
 * `OATH1: hotp, active, fail counter 3 of 10; read 12 s ago`; `-` is a counter that is not known.
 * @param isApi privacyIDEA's API is configured
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

/** Serials that the account does not have because an undo removed them, with what restores them. */
export function undoneLines({ serials, timeline }: Pick<AccountDetails, 'serials' | 'timeline'>): Lines {
  const carried = new Set(serials.map((serial) => serial.toLowerCase()))
  const newest = new Map<string, TimelineEntry>()
  for (const entry of timeline) {
    if (entry.serial === null || !['event register', 'event unregister'].includes(entry.what)) continue
    newest.set(entry.serial.toLowerCase(), entry)
  }
  return [...newest].flatMap(([name, { what, serial, reasonCode, actor, atMs }]) => {
    if (what !== 'event unregister' || reasonCode !== 'undo' || carried.has(name)) return []
    const since = exactMoment(atMs)
    const command = `lockstep undo --since ${since.includes(' ') ? `'${since}'` : since}`
    const text = `${serial ?? ''}: removed by an undo (${plain(actor)}), whatever privacyIDEA says since; to bring it back: ${command}`
    return [['undone', text] as const]
  })
}
