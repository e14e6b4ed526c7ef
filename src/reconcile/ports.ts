import type { GuardSettings, PolicySettings } from '../core/settings/settings.ts'
import type { Clock } from '../ports/clock.ts'
import type { DirectoryPort } from '../ports/directory.ts'
import type { LedgerPort } from '../ports/store/ledger.ts'
import type { DesiredPort, GuardPort, InboxPort, QueuePort } from '../ports/store/store.ts'
import type { VerificationPort } from '../ports/store/verification.ts'
import type { MirrorPorts } from './mirror/mirror.ts'
import type { SnapshotPorts } from './source/snapshot.ts'

/** All ports that the reconciling of accounts needs. */
export interface Ports {
  readonly clock: Clock
  readonly directory: DirectoryPort
  readonly desired: DesiredPort
  readonly ledger: LedgerPort
  readonly guards: GuardPort
  /** Mode `api`; null: only the events are known. */
  readonly snapshot: SnapshotPorts | null
  /** Where privacyIDEA is to follow somebody else's lock in the directory; left out in mode `events`. */
  readonly mirror?: MirrorPorts
  readonly inbox: InboxPort
  readonly queue: QueuePort
  readonly verification: VerificationPort
  readonly policy: Pick<PolicySettings, 'onForeignUnlock' | 'lockTtlMs'> & { readonly resetsTokenOnTtl?: boolean }
  readonly guardSettings: Pick<GuardSettings, 'dryRun' | 'breaker'>
  /** A new unique id; sorts by the time at which it was made. */
  newId(): string
}
