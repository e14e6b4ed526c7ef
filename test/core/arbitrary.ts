import fc from 'fast-check'
import type { ResolvedEvent } from '../../src/core/events/event.ts'
import {
  accountKey,
  parseAccountId,
  parseDirectoryName,
  parseLogin,
  parseSerial,
  type AccountKey,
  type Serial,
} from '../../src/core/names.ts'

/** Builders for tests: small worlds, so that events meet each other. */

export function keyOf(id: string): AccountKey {
  const directory = parseDirectoryName('corp')
  const account = parseAccountId(id)
  if (directory === null || account === null) throw new Error(`no key: ${id}`)
  return accountKey(directory, account)
}

export function serialOf(text: string): Serial {
  const serial = parseSerial(text)
  if (serial === null) throw new Error(`no serial: ${text}`)
  return serial
}

export const ALICE = keyOf('aaaa')
export const BOB = keyOf('bbbb')
export const S1 = serialOf('S1')
export const S2 = serialOf('S2')

export function eventOf(
  kind: ResolvedEvent['kind'],
  takenAtUs: number,
  fields: Partial<Omit<ResolvedEvent, 'kind' | 'takenAtUs'>> = {},
): ResolvedEvent {
  return {
    id: `e${String(takenAtUs).padStart(6, '0')}`,
    kind,
    serial: null,
    login: parseLogin('alice'),
    realm: null,
    actor: '',
    takenAtUs,
    source: 'shim',
    reason: null,
    untilUs: null,
    accountKey: ALICE,
    attributeSerials: [],
    pinnedHold: null,
    ...fields,
  }
}

/** Streams of distinct events about two accounts and two serials, in random order. */
export const streams: fc.Arbitrary<ResolvedEvent[]> = fc
  .array(
    fc.record({
      kind: fc.constantFrom('register', 'lock', 'unlock', 'unregister', 'hold', 'release', 'directory-unlock' as const),
      serial: fc.constantFrom(null, S1, S2),
      bob: fc.boolean(),
      byLogin: fc.boolean(),
      standing: fc.constantFrom([], [S1], [S1, S2]),
      sole: fc.boolean(),
    }),
    { maxLength: 14 },
  )
  .map((drafts) =>
    drafts.map((draft, index) =>
      eventOf(draft.kind, 1_000 + index, {
        serial: ['hold', 'release', 'directory-unlock'].includes(draft.kind) ? null : draft.serial,
        accountKey: draft.bob ? BOB : ALICE,
        login: draft.byLogin || draft.serial === null ? parseLogin(draft.bob ? 'bob' : 'alice') : null,
        attributeSerials: draft.standing,
        ...(draft.sole && draft.kind === 'register' ? { isSoleSerial: true } : {}),
      }),
    ),
  )
