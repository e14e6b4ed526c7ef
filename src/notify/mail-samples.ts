import type { ErrorCode } from '../core/error.ts'
import type { Reason } from '../core/reasons/reason.ts'
import { gathered, NOTICE_KINDS, type Cause, type Digest, type Notice, type NoticeKind } from '../core/mail/notice.ts'
import type { MailLanguage } from '../core/mail/mail-language.ts'
import { helpDeskData, newTokenData, ownerData, testData, type MailContext } from './mail-data.ts'
import type { TemplateName } from './template-files.ts'
import type { TemplateData } from './templates.ts'

/** Made-up notifications: for `lockstep mail preview`, and to test templates. */

const AROUND: MailContext = { contact: 'IT service desk\nphone 1234', host: 'lockstep.example.org', isLate: false }
const SAMPLE_TOKEN = { login: 'alice', serial: 'TOTP0001A2B3', type: 'totp' } as const
const MINUTE_MS = 60_000

const ALICE = 'uid=alice,ou=people,dc=example,dc=org'

function failed(error: ErrorCode, said: string): Reason {
  return { code: 'operation-failed', params: { error, said } }
}

const REASONS: Readonly<Record<NoticeKind, Reason | null>> = {
  breaker: {
    code: 'breaker-limit',
    params: { counted: 'all', allowed: 20, perMs: 10 * MINUTE_MS, share: null, until: 'review-or-room' },
  },
  source: failed('source-unreachable', 'https://pi.example.org: the connection was refused (ECONNREFUSED)'),
  'not-effective': {
    code: 'lock-not-effective',
    params: { said: 'no password policy with pwdLockout: TRUE applies to the account' },
  },
  refused: { code: 'account-protected', params: { rule: 'its DN is in guards.protect.dns' } },
  unresolved: failed('unknown-user', 'directory corp has no account for this login below ou=people,dc=example,dc=org'),
  drift: {
    code: 'drift-found',
    params: {
      first: [
        {
          account: ALICE,
          serial: 'OATH0001A2B3',
          why: { code: 'token-max-fail', params: { serial: 'OATH0001A2B3' } },
        },
      ],
    },
  },
  failed: failed(
    'directory-unreachable',
    'directory corp: ldaps://ldap.example.org: the connection was refused (ECONNREFUSED)',
  ),
  locked: null,
  unlocked: { code: 'token-usable', params: { serial: 'OATH0001A2B3' } },
}

function causes(nowMs: number): Cause[] {
  const since = { sinceMs: nowMs - MINUTE_MS, untilMs: null, actor: '' }
  const serial = 'OATH0001A2B3'
  return [
    { ...since, kind: 'token', serial, because: { code: 'token-max-fail', params: { serial } } },
    {
      ...since,
      kind: 'manual',
      serial: null,
      because: { code: 'manual', params: { text: 'laptop stolen' } },
      actor: 'admin',
      untilMs: nowMs + 60 * MINUTE_MS,
    },
    { ...since, kind: 'account', serial: null, because: { code: 'user-token-max-fail', params: {} } },
    {
      ...since,
      kind: 'lockout',
      serial: null,
      because: { code: 'user-lockout', params: {} },
      untilMs: nowMs + 30 * MINUTE_MS,
    },
  ]
}

export function sampleNotice(kind: NoticeKind, nowMs: number, only?: Cause['kind']): Notice {
  const all = causes(nowMs)
  return {
    kind,
    atMs: nowMs,
    account: null,
    login: kind === 'drift' || kind === 'source' ? null : 'alice',
    realm: kind === 'drift' || kind === 'source' ? null : 'example',
    subject: kind === 'source' || kind === 'drift' ? '' : ALICE,
    ...(kind === 'source' ? { about: { what: 'scan', name: '' } as const } : {}),
    causes: kind === 'locked' ? all.filter((cause) => cause.kind === (only ?? 'token')) : [],
    reason: REASONS[kind],
    count: kind === 'drift' ? 3 : 1,
  }
}

/** One item, or all kinds with many more of the first. */
export function sampleDigest(kind: NoticeKind | 'digest', nowMs: number): Digest {
  if (kind !== 'digest') return gathered(null, [sampleNotice(kind, nowMs)])
  const many = Array.from({ length: 40 }, (_, index) => ({
    ...sampleNotice('locked', nowMs - (40 - index) * 1_000),
    login: `user${index + 1}`,
  }))
  return gathered(null, [...NOTICE_KINDS.map((each) => sampleNotice(each, nowMs)), ...many])
}

/** Data that uses every branch of a template. */
export function samplesFor(name: TemplateName, language: MailLanguage): TemplateData[] {
  const nowMs = Date.UTC(2026, 10, 24, 9, 39)
  const formats = { language, timeZone: 'Europe/Berlin' }
  const bare: MailContext = { ...AROUND, contact: '', isLate: true }
  switch (name) {
    case 'test':
      return [testData(AROUND, nowMs, formats)]
    case 'new-token':
      return [
        newTokenData({ ...SAMPLE_TOKEN, name: 'Alice Example' }, AROUND, formats),
        newTokenData({ ...SAMPLE_TOKEN, name: '' }, bare, formats),
      ]
    case 'help-desk':
      return [...NOTICE_KINDS, 'digest' as const].map((kind) =>
        helpDeskData(sampleDigest(kind, nowMs), kind === 'locked' ? bare : AROUND, formats),
      )
    case 'unlocked':
      return [ownerData(sampleDigest('unlocked', nowMs), 'Alice Example', AROUND, formats)]
    case 'locked':
      return (['token', 'account', 'manual', 'lockout'] as const).map((cause) =>
        ownerData(
          gathered(null, [sampleNotice('locked', nowMs, cause)]),
          '',
          cause === 'token' ? bare : AROUND,
          formats,
        ),
      )
    case 'news':
      return [
        ownerData(sampleDigest('refused', nowMs), 'Alice Example', bare, formats),
        ownerData(sampleDigest('digest', nowMs), 'Alice Example', AROUND, formats),
      ]
  }
}
