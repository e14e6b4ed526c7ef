import type { Reason } from '../../core/reasons/reason.ts'

/**
 * Sentences that versions up to 0.1 wrote in place of codes, and that mean exactly what a code means today. They are on
 * record in old stores and are read for ever; no version writes them any more.
 */
const SENTENCES: readonly (readonly [RegExp, (part: string) => Reason])[] = [
  [/^lock taken away$/, () => ({ code: 'lock-removed', params: { passwordSetAt: null } })],
  [
    /^our lock no longer stands in the directory(?:; not given back.*)?$/s,
    () => ({ code: 'lock-gone', params: { places: [] } }),
  ],
  [/^our lock was replaced by somebody else’s$/, () => ({ code: 'lock-replaced', params: {} })],
  [/^holds changed$/, () => ({ code: 'holds-changed', params: {} })],
  [/^no hold is left$/, () => ({ code: 'no-hold-left', params: {} })],
  [/^somebody took the lock away in the directory$/, () => ({ code: 'lock-removed', params: { passwordSetAt: null } })],
  [/^token (\S+) was assigned$/, (serial) => ({ code: 'token-assigned', params: { serial } })],
  [/^token (\S+) reached its max fail count$/, (serial) => ({ code: 'token-max-fail', params: { serial } })],
  [/^a token of the user reached its max fail count$/, () => ({ code: 'user-token-max-fail', params: {} })],
  [/^privacyIDEA keeps the user out$/, () => ({ code: 'user-lockout', params: {} })],
  [/^restored from the LDIF folders$/, () => ({ code: 'restored-from-folders', params: {} })],
  [/^a hint: privacyIDEA is asked$/, () => ({ code: 'event-is-hint', params: {} })],
  [/^names neither a user nor a serial$/, () => ({ code: 'names-nobody', params: {} })],
  [/^the token has no owner$/, () => ({ code: 'token-without-owner', params: {} })],
]

export function codeOfOldSentence(text: string): Reason | null {
  for (const [sentence, reason] of SENTENCES) {
    const found = sentence.exec(text)
    if (found !== null) return reason(found[1] ?? '')
  }
  return null
}
