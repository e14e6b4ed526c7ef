import type { Mirrored, MirrorState } from '../../core/source/mirror.ts'
import type { AccountKey, Serial } from '../../core/names.ts'
import type { GuardSettings } from '../../core/settings/settings.ts'
import type { UserOfSource } from '../../core/source/token.ts'

/** What we did in privacyIDEA because of locks that others made in the directory: only that is reverted. */
export interface MirrorPort {
  of(key: AccountKey): Promise<readonly Mirrored[]>
  /**
   * Before the call to privacyIDEA, durable: the outcome is open from now on.
   * @param breaker accounts that are newly mirrored count against it, apart from locks in the directory
   * @returns false, and nothing is written, where its limit is reached
   */
  begin(key: AccountKey, mirrored: Mirrored, breaker: GuardSettings['breaker']): Promise<boolean>
  /** The outcome; `gone`: nothing of ours is there any more. With its journal record. */
  end(key: AccountKey, mirrored: Mirrored, is: Exclude<MirrorState, 'open'> | 'gone', why: string): Promise<void>
  /** Those of these tokens that we disabled, or may have. */
  disabledOf(serials: readonly Serial[]): Promise<ReadonlySet<Serial>>
  /** The lockouts that are ours, or may be. */
  lockouts(): Promise<readonly { readonly user: UserOfSource; readonly durationS: number }[]>
  /** The number of accounts that something is mirrored of, reverted by hand or not. */
  countAccounts(): Promise<number>
  /** Of these accounts those on record. */
  statusOf(keys: readonly AccountKey[]): Promise<ReadonlyMap<AccountKey, KnownLocks>>
}

export interface KnownLocks {
  /** It has a lock of ours. */
  readonly isOurs: boolean
  /** Something was mirrored of it. */
  readonly isMirrored: boolean
  /** It has what may be somebody else's lock, and is reported as such. */
  readonly isUnclear: boolean
}
