import { randomBytes } from 'node:crypto'
import { secretReader } from '../config/secret.ts'
import type { Settings, SourceSettings } from '../core/settings.ts'
import { openDirectories } from '../directory/open-directories.ts'
import { openLdifFolders } from '../ldif/folders.ts'
import { systemClock, type Clock } from '../ports/clock.ts'
import type { AttributePort, DirectoryPort } from '../ports/directory.ts'
import type { LdifPort } from '../ports/ldif.ts'
import type { PrivacyIdeaPort } from '../ports/privacyidea.ts'
import { withClearTimeout } from '../reconcile/clear-timeout.ts'
import { FailCountFloor, watchedSource } from '../reconcile/fail-count-floor.ts'
import { openLockouts } from '../reconcile/lockouts.ts'
import type { ForeignLockPorts } from '../reconcile/foreign-locks.ts'
import { gatedSource } from '../reconcile/owner-gate.ts'
import { openLedger } from '../reconcile/ledger.ts'
import type { MirrorPorts } from '../reconcile/mirror.ts'
import { withoutMirror } from '../reconcile/mirror-view.ts'
import type { Ports } from '../reconcile/ports.ts'
import type { ResyncPorts } from '../reconcile/resync-ports.ts'
import type { ScanPorts } from '../reconcile/scan.ts'
import type { Store } from '../store/store.ts'
import { openStoreOf } from './state-store.ts'

/** Everything that works on accounts, opened from one configuration. */
export interface System extends AsyncDisposable {
  readonly settings: Settings
  readonly clock: Clock
  readonly store: Store
  readonly directory: DirectoryPort & AttributePort
  readonly ldif: LdifPort
  readonly ports: Ports
  /** What the sweeps over privacyIDEA need; null in mode `events`. */
  readonly source: SystemScan | null
}

export type SystemScan = ScanPorts & ResyncPorts & ForeignLockPorts

export async function openSystem(settings: Settings, clock: Clock = systemClock): Promise<System> {
  await using opened = new AsyncDisposableStack()
  const store = opened.use(await openStoreOf(settings, true, clock))
  const ldif = opened.use(await openLdifFolders({ dir: settings.ldif.dir }))
  const directory = opened.use(openDirectories(settings, clock, store.identities))
  const ids = () => newId(clock)
  const opening = settings.privacyidea === null ? null : opened.use(await openSource(settings.privacyidea, clock))
  const failCounts = new FailCountFloor()
  const source =
    opening === null
      ? null
      : watchedSource(withClearTimeout(withoutMirror(gatedSource(opening, clock), store.mirror), clock), failCounts)
  const scanPorts: SystemScan | null =
    source === null
      ? null
      : {
          source,
          truth: store.truth,
          lockouts: openLockouts(source, clock),
          failCounts,
          directory,
          clock,
          policy: settings.policy,
          resync: settings.resync,
          record: store.resync,
          desired: store.desired,
          newId: ids,
          mirrored: store.mirror,
          mode: settings.policy.mirrorDirectoryLocks,
        }
  const ports: Ports = {
    clock,
    directory,
    desired: store.desired,
    ledger: openLedger(store.records, ldif, clock),
    guards: store.guards,
    truth: scanPorts,
    inbox: store.inbox,
    queue: store.queue,
    verification: store.verification,
    policy: settings.policy,
    guardSettings: settings.guards,
    newId: ids,
    ...(opening === null ? {} : { mirror: mirrorPorts(opening, store, settings, clock) }),
  }
  const all = opened.move()
  return {
    settings,
    clock,
    store,
    directory,
    ldif,
    ports,
    source: scanPorts,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

function mirrorPorts(source: PrivacyIdeaPort, store: Store, settings: Settings, clock: Clock): MirrorPorts {
  const { truth, guards, mirror: record } = store
  const mode = settings.policy.mirrorDirectoryLocks
  return { source, record, truth, guards, guardSettings: settings.guards, mode, clock }
}

/** Loaded only where it is configured. */
export async function openSource(settings: SourceSettings, clock: Clock): Promise<PrivacyIdeaPort> {
  const { openPrivacyIdea } = await import('../privacyidea/open-privacyidea.ts')
  return openPrivacyIdea(settings, secretReader(process.env), clock)
}

/** 12 hex digits of milliseconds and 16 of chance: unique, and sorted by time. */
export function newId(clock: Clock): string {
  return `${clock.nowMs().toString(16).padStart(12, '0')}${randomBytes(8).toString('hex')}`
}
