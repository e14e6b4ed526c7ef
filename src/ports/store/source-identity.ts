import type { SourceIdentity, TokenMark } from '../../core/source/source-identity.ts'

/** The privacyIDEA on record (see core/source/source-identity.ts). */
export interface SourceIdentityPort {
  /** Null: none was met yet. */
  known(): Promise<SourceIdentity | null>
  /** Tokens on record, with their ids where known, at most so many: what an older version's store has of its server. */
  recordedTokens(limit: number): Promise<readonly TokenMark[]>
  /** The same server, with its present marks. */
  remember(identity: SourceIdentity): Promise<void>
  /** A person states that the server which answers now is the one that is meant; on record. */
  accept(identity: SourceIdentity, by: string): Promise<void>
}
