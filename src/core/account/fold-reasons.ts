import type { ResolvedEvent } from '../events/event.ts'
import type { AccountKey, HoldName, Serial } from '../names.ts'
import type { Reason } from '../reasons/reason.ts'
import type { Because, Hold } from './state.ts'

/** Why a hold began or ended, and why a serial was written or removed. An event's own reason comes first. */

export function holdBecause(event: ResolvedEvent, kind: Hold['kind'], name: HoldName): Reason {
  return event.reason ?? usualBecause(kind, name)
}

/** The reason for a hold of that kind, where nothing else is known. */
export function usualBecause(kind: Hold['kind'], name: HoldName): Reason {
  switch (kind) {
    case 'token':
      return { code: 'token-max-fail', params: { serial: name } }
    case 'account':
      return { code: 'user-token-max-fail', params: {} }
    case 'lockout':
      return { code: 'user-lockout', params: {} }
    case 'manual':
      return BY_HAND
  }
}

const BY_HAND: Reason = { code: 'manual', params: { text: '' } }

export function assignedBecause({ reason, actor }: ResolvedEvent, serial: Serial): Because {
  return { reason: reason ?? { code: 'token-assigned', params: { serial } }, actor }
}

/** A registration removes the serial from the account that had it before. */
export function goneBecause({ kind, reason, actor }: ResolvedEvent, serial: Serial): Because {
  const code = kind === 'register' ? 'token-moved' : 'token-unassigned'
  return { reason: reason ?? { code, params: { serial } }, actor }
}

/**
 * What ended the last hold of an account: an event, or its time.
 * @param expiredUs when the last one ended by itself; 0: none did
 */
export function endedBecause(by: ResolvedEvent | undefined, expiredUs: number, key: AccountKey): Because | null {
  if (expiredUs > (by?.takenAtUs ?? 0)) return { reason: { code: 'hold-expired', params: {} }, actor: '' }
  return by === undefined ? null : { reason: endedBy(by, key), actor: by.actor }
}

function endedBy({ kind, serial, reason, accountKey }: ResolvedEvent, key: AccountKey): Reason {
  // An event of another account has its own reason: the token moved there.
  if (accountKey !== key && serial !== null) return { code: 'token-moved', params: { serial } }
  if (reason !== null && kind !== 'lock') return reason
  switch (kind) {
    case 'unlock':
      return serial === null ? { code: 'user-tokens-usable', params: {} } : { code: 'token-usable', params: { serial } }
    case 'register':
      return serial === null ? NONE_LEFT : { code: 'token-enrolled-anew', params: { serial } }
    case 'unregister':
      return serial === null ? NONE_LEFT : { code: 'token-unassigned', params: { serial } }
    case 'lock':
      return serial === null ? NONE_LEFT : { code: 'token-moved', params: { serial } }
    case 'lockout-end':
      return { code: 'lockout-ended', params: {} }
    case 'release':
      return BY_HAND
    case 'directory-unlock':
      return { code: 'lock-removed', params: { passwordSetAt: null } }
    case 'hold':
    case 'lockout':
      return NONE_LEFT
  }
}

const NONE_LEFT: Reason = { code: 'no-hold-left', params: {} }
