import type { Settings } from '../core/settings/settings.ts'
import type { Clock } from '../ports/clock.ts'
import type { DirectoryPort } from '../ports/directory.ts'
import type { LdifPort } from '../ports/ldif.ts'
import type { PrivacyIdeaPort } from '../ports/privacyidea.ts'
import { withClearTimeout } from '../reconcile/source/expired-fail-counters.ts'
import { FailCountFloor, watchedSource } from '../reconcile/source/fail-count-floor.ts'
import type { ForeignLockPorts } from '../reconcile/mirror/foreign-locks.ts'
import { openLedger } from '../reconcile/ledger/ledger.ts'
import { openLockouts } from '../reconcile/source/lockouts.ts'
import { withoutMirror } from '../reconcile/mirror/mirror-view.ts'
import type { MirrorPorts } from '../reconcile/mirror/mirror.ts'
import { sourceWithBreakers } from '../reconcile/source/resolver-circuit-breaker.ts'
import type { Ports } from '../reconcile/ports.ts'
import type { ResyncPorts } from '../reconcile/source/resync-ports.ts'
import type { ScanPorts } from '../reconcile/source/scan.ts'
import { SourceIdentityCheck } from '../reconcile/source/source-identity.ts'
import type { Store } from '../store/store.ts'

/**
 * The connections between the parts, and the view of privacyIDEA that each part reads through. They are defined only
 * here: real parts and in-memory ones get their ports from here.
 */

/** Parts that are open already. */
export interface Parts {
  readonly settings: Pick<Settings, 'policy' | 'guards' | 'resync'>
  readonly clock: Clock
  readonly store: Store
  readonly directory: DirectoryPort
  readonly ldif: LdifPort
  /** privacyIDEA as it is; null in mode `events`. */
  readonly source: PrivacyIdeaPort | null
  /** A new unique id; sorts by the time at which it was made. */
  readonly newId: () => string
}

export type SystemScan = ScanPorts & ResyncPorts & ForeignLockPorts

export interface Wired {
  readonly ports: Ports
  /** What the sweeps over privacyIDEA need; null in mode `events`. */
  readonly sweeps: SystemScan | null
}

export function wire(parts: Parts): Wired {
  const { settings, clock, store, directory, ldif, source, newId } = parts
  const sweeps = source === null ? null : sweepPorts(parts, source)
  const ports: Ports = {
    clock,
    directory,
    desired: store.desired,
    ledger: openLedger(store.records, ldif, clock),
    guards: store.guards,
    snapshot: sweeps,
    inbox: store.inbox,
    queue: store.queue,
    verification: store.verification,
    policy: settings.policy,
    guardSettings: settings.guards,
    newId,
    ...(source === null ? {} : { mirror: mirrorPorts(parts, source) }),
  }
  return { ports, sweeps }
}

/**
 * All reading goes through these views, from the inside out: one request at a time about owners in a user store that is
 * down; privacyIDEA without the mirror's changes; expired fail counters as not locked; and the floor of the scan, which
 * has to see what all others decide on.
 */
function sweepPorts(parts: Parts, opened: PrivacyIdeaPort): SystemScan {
  const { settings, clock, store, directory, newId } = parts
  const failCounts = new FailCountFloor()
  const asIfNotMirrored = withoutMirror(sourceWithBreakers(opened, clock), store.mirror)
  const source = watchedSource(withClearTimeout(asIfNotMirrored, clock), failCounts)
  const check = new SourceIdentityCheck({ source, identity: store.sourceIdentity, findings: store.findings, clock })
  return {
    source,
    check,
    authorship: store.authorship,
    snapshots: store.snapshots,
    unplaced: store.unplaced,
    lockouts: openLockouts(source, clock),
    failCounts,
    directory,
    clock,
    policy: settings.policy,
    resync: settings.resync,
    record: store.resync,
    desired: store.desired,
    findings: store.findings,
    newId,
    mirrored: store.mirror,
    mode: settings.policy.mirrorDirectoryLocks,
  }
}

/** The mirror works on privacyIDEA without these views: its changes there are its own. */
function mirrorPorts({ settings, store, clock }: Parts, source: PrivacyIdeaPort): MirrorPorts {
  const { snapshots, guards, mirror: record } = store
  const mode = settings.policy.mirrorDirectoryLocks
  return { source, record, snapshots, guards, guardSettings: settings.guards, mode, clock }
}
