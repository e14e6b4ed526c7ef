import { gathered, NOTICE_KINDS, type Cause, type Digest, type Notice, type NoticeKind } from '../core/notice.ts'
import type { MailLanguage } from '../core/mail-language.ts'
import { helpDeskData, newTokenData, ownerData, testData, type MailSurroundings } from './mail-data.ts'
import type { TemplateName } from './template-files.ts'
import type { TemplateData } from './templates.ts'

/** Made-up news: for `lockstep mail preview`, and to try templates with. */

const AROUND: MailSurroundings = { contact: 'IT service desk\nphone 1234', host: 'lockstep.example.org', isLate: false }
const SAMPLE_TOKEN = { login: 'alice', serial: 'TOTP0001A2B3', type: 'totp' } as const
const MINUTE_MS = 60_000

const REASONS: Readonly<Record<NoticeKind, string>> = {
  breaker: 'at most 20 locks within 10 min; waits for lockstep review, or for room',
  source: 'https://pi.example.org: the connection was refused (ECONNREFUSED)',
  'not-effective': 'no password policy with pwdLockout: TRUE applies to the account',
  refused: 'the account is protected: its DN is in guards.protect.dns',
  unresolved: 'directory corp has no account for this login below ou=people,dc=example,dc=org',
  drift: 'corp/alice OATH0001A2B3: the token is locked in privacyIDEA, and was not on record',
  failed: 'directory corp: ldaps://ldap.example.org: the connection was refused (ECONNREFUSED)',
  locked: '',
  unlocked: '',
}

function causes(nowMs: number): Cause[] {
  const since = { sinceMs: nowMs - MINUTE_MS, untilMs: null, reason: '', actor: '' }
  return [
    { ...since, kind: 'token', serial: 'OATH0001A2B3' },
    {
      ...since,
      kind: 'manual',
      serial: null,
      reason: 'laptop stolen',
      actor: 'admin',
      untilMs: nowMs + 60 * MINUTE_MS,
    },
    { ...since, kind: 'account', serial: null },
    { ...since, kind: 'lockout', serial: null, untilMs: nowMs + 30 * MINUTE_MS },
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
    subject: kind === 'source' ? 'scan' : kind === 'drift' ? '' : 'uid=alice,ou=people,dc=example,dc=org',
    causes: kind === 'locked' ? all.filter((cause) => cause.kind === (only ?? 'token')) : [],
    reason: REASONS[kind],
    count: kind === 'drift' ? 3 : 1,
  }
}

/** One thing, or all of them with many more of the first. */
export function sampleDigest(kind: NoticeKind | 'digest', nowMs: number): Digest {
  if (kind !== 'digest') return gathered(null, [sampleNotice(kind, nowMs)])
  const many = Array.from({ length: 40 }, (_, index) => ({
    ...sampleNotice('locked', nowMs - (40 - index) * 1_000),
    login: `user${index + 1}`,
  }))
  return gathered(null, [...NOTICE_KINDS.map((each) => sampleNotice(each, nowMs)), ...many])
}

/** Data that goes every way through a template. */
export function samplesFor(name: TemplateName, language: MailLanguage): TemplateData[] {
  const nowMs = Date.UTC(2026, 10, 24, 9, 39)
  const formats = { language, timeZone: 'Europe/Berlin' }
  const bare: MailSurroundings = { ...AROUND, contact: '', isLate: true }
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
