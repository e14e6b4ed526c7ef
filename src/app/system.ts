import { randomFillSync } from 'node:crypto'
import { secretReader } from '../config/secret.ts'
import type { Settings, SourceSettings } from '../core/settings/settings.ts'
import { openDirectories } from '../directory/open-directories.ts'
import { openLdifFolders } from '../ldif/folders.ts'
import { systemClock, type Clock } from '../ports/clock.ts'
import type { AttributePort, DirectoryPort } from '../ports/directory.ts'
import type { IdentityPort } from '../ports/store/identity.ts'
import type { LdifPort } from '../ports/ldif.ts'
import type { PrivacyIdeaPort } from '../ports/privacyidea.ts'
import type { Ports } from '../reconcile/ports.ts'
import type { Store } from '../store/store.ts'
import { noteForms, refuseLostMarks } from './keep-marks.ts'
import { openStoreOf } from './state-store.ts'
import { wire, type SystemScan } from './wiring.ts'

/** Stays open while the process works on a store, also over reloads. */
export interface Base extends AsyncDisposable {
  readonly clock: Clock
  readonly store: Store
  readonly ldif: LdifPort
}

/** All parts that work on accounts, opened from one configuration. */
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

/**
 * Fails with `config-invalid` where locks or serials of ours would be lost with this configuration.
 * @param keepsMarks false: for commands that must work in any case
 */
export async function openSystem(
  settings: Settings,
  clock: Clock = systemClock,
  keepsMarks: boolean = true,
): Promise<System> {
  await using opened = new AsyncDisposableStack()
  const base = opened.use(await openBase(settings, clock))
  if (keepsMarks) {
    await refuseLostMarks(settings, base.store)
    await noteForms(settings, base.store)
  }
  const system = opened.use(await openOn(base, settings))
  const all = opened.move()
  return { ...system, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

export async function openBase(settings: Settings, clock: Clock = systemClock): Promise<Base> {
  await using opened = new AsyncDisposableStack()
  const store = opened.use(await openStoreOf(settings, true, clock))
  const ldif = opened.use(await openLdifFolders({ dir: settings.ldif.dir }))
  const all = opened.move()
  return { clock, store, ldif, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

/**
 * Disposing it closes the directories and privacyIDEA, and leaves the base open.
 * @param identities the recorded identities of the directories; the store's, unless the configuration is only tried
 */
export async function openOn(
  base: Base,
  settings: Settings,
  identities: IdentityPort = base.store.identities,
): Promise<System> {
  const { clock, store, ldif } = base
  await using opened = new AsyncDisposableStack()
  const directory = opened.use(openDirectories(settings, clock, identities))
  const ids = () => newId(clock)
  const opening = settings.privacyidea === null ? null : opened.use(await openSource(settings.privacyidea, clock))
  const parts = { settings, clock, store, directory, ldif, source: opening, newId: ids }
  const { ports, sweeps } = wire(parts)
  const all = opened.move()
  return { ...base, settings, directory, ports, source: sweeps, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

/** Loaded only where it is configured. */
export async function openSource(settings: SourceSettings, clock: Clock): Promise<PrivacyIdeaPort> {
  const { openPrivacyIdea } = await import('../privacyidea/open-privacyidea.ts')
  return openPrivacyIdea(settings, secretReader(process.env), clock)
}

/** Random bytes in stock: fetching a few at a time costs more than all the rest of an id. */
const stock = Buffer.alloc(4096)
let used = stock.length

/** 12 hex digits of milliseconds and 16 random ones: unique, and sorted by time. */
export function newId(clock: Clock): string {
  if (used === stock.length) {
    randomFillSync(stock)
    used = 0
  }
  used += 8
  return `${clock.nowMs().toString(16).padStart(12, '0')}${stock.toString('hex', used - 8, used)}`
}
