import type { Cause, Digest, Notice } from '../../core/mail/notice.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import { reasonFromBody } from '../rows/reasons.ts'

/** The contents of a mail, as they are in the store. Older versions wrote sentences in place of reasons. */

type OldCause = Omit<Cause, 'because'> & { readonly because?: unknown; readonly reason?: unknown }
type OldNotice = Omit<Notice, 'reason' | 'causes'> & { readonly reason: unknown; readonly causes: readonly OldCause[] }

export function digestFromRow(text: string): Digest {
  const digest = JSON.parse(text) as Omit<Digest, 'items'> & { readonly items: readonly OldNotice[] }
  return { ...digest, items: digest.items.map(noticeOf) }
}

function noticeOf({ reason, causes, ...rest }: OldNotice): Notice {
  return { ...rest, reason: reasonFromBody(reason), causes: causes.map(causeOf) }
}

function causeOf({ because, reason, ...rest }: OldCause): Cause {
  return { ...rest, because: reasonFromBody(because) ?? oldBecause(rest, typeof reason === 'string' ? reason : '') }
}

function oldBecause({ kind, serial }: Pick<Cause, 'kind' | 'serial'>, words: string): Reason {
  switch (kind) {
    case 'token':
      return { code: 'token-max-fail', params: { serial: serial ?? '' } }
    case 'account':
      return { code: 'user-token-max-fail', params: {} }
    case 'lockout':
      return { code: 'user-lockout', params: {} }
    case 'manual':
      return { code: 'manual', params: { text: words } }
  }
}
