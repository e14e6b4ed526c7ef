import type { AccountKey, DirectoryName, ResolverName, Serial } from '../../core/names.ts'
import type { OurRecord } from '../../core/account/state.ts'
import type { NotedAccount, RecordedToken } from './store.ts'

/** All methods may fail with `store-busy`, `store-unavailable`, `disk-full`. */

/** A token of privacyIDEA by its two names. */
export interface PlacedToken {
  readonly id: number
  readonly serial: Serial
}

/** An account as it is on record, as far as the directory shows the same. */
export interface RecordedAccount {
  readonly serials: readonly Serial[]
  readonly ours: OurRecord
  readonly holdCount: number
  /** '' where it has neither a hold nor a lock. */
  readonly standing: string
}

/**
 * The record as a full resync reads it: in the order of privacyIDEA's ids, so that both are walked side by side and
 * nothing is held in memory. The findings of a run are kept in the store, and count only once the run is released.
 */
export interface ResyncRecordPort {
  /** Begins a run; its number is higher than those before. Unreleased findings of an older run are dropped. */
  begin(): Promise<number>
  /** Without those whose loss is held back: their absence is on record. */
  countTokens(): Promise<number>
  /** How many tokens are on record of each resolver. */
  resolvers(): Promise<readonly { readonly resolver: ResolverName; readonly tokens: number }[]>
  /** The approximate number of accounts of a directory that `expected` gives: those with a token. */
  countExpected(directory: DirectoryName): Promise<number>
  /** Tokens with an id above `after`, up to and with `upTo` (null: all above), in pages. */
  between(after: number, upTo: number | null): AsyncIterable<readonly RecordedToken[]>
  tokensOf(serials: readonly Serial[]): Promise<ReadonlyMap<Serial, RecordedToken>>
  /** privacyIDEA shows these; their ids go on record. */
  place(tokens: readonly PlacedToken[]): Promise<void>
  /** privacyIDEA did not show these in this run. */
  miss(run: number, serials: readonly Serial[]): Promise<void>
  /**
   * Tokens that were on record when the run began and that it did not see: missed, or without an id until its end.
   * @param options `withHeldLosses`: also those whose loss is pending or was dismissed
   */
  unseen(run: number, options: { readonly withHeldLosses: boolean }): AsyncIterable<readonly RecordedToken[]>
  /** Without those whose loss is held back. */
  countUnseen(run: number): Promise<number>
  /** These are to be looked at once the run is released. */
  stage(run: number, accounts: readonly NotedAccount[], keys: readonly AccountKey[]): Promise<void>
  /** The run was complete: what it staged is marked, and privacyIDEA is asked about each first. */
  release(run: number): Promise<void>
  /** Those that have a token, a hold or a lock. */
  accountsOf(keys: readonly AccountKey[]): Promise<ReadonlyMap<AccountKey, RecordedAccount>>
  /** Accounts that should have a serial or a lock of ours, by the record, in pages; some come twice. */
  expected(directory: DirectoryName): AsyncIterable<readonly AccountKey[]>
}
