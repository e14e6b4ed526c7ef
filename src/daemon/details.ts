import type { Mirrored } from '../core/mirror.ts'
import { splitAccountKey } from '../core/names.ts'
import type { AccountReport } from '../store/reports.ts'
import type { Store } from '../store/store.ts'

/** Everything on record about one account. */

export interface TimelineEntry {
  readonly atMs: number
  readonly what: string
  readonly serial: string | null
  readonly actor: string
  readonly details: string
}

export interface AccountDetails {
  readonly account: AccountReport
  readonly serials: readonly string[]
  /** What was done in privacyIDEA because somebody else locked the account in the directory. */
  readonly mirrored: readonly MirroredReport[]
  /** Events and changes, oldest first. */
  readonly timeline: readonly TimelineEntry[]
}

export interface MirroredReport {
  /** `lockout` of the user, or a disabled `token`. */
  readonly kind: Mirrored['kind']
  /** The user, or the serial. */
  readonly of: string
  /** open: the outcome of the last call is not known. left: somebody took it back in privacyIDEA. */
  readonly state: Mirrored['state']
}

const ACCOUNTS_MAX = 10
const ENTRIES_MAX = 200

/** @param name a login, a serial, an account key or id, or a DN */
export async function detailsOf(store: Store, name: string): Promise<AccountDetails[]> {
  const found: AccountDetails[] = []
  for (const account of await store.reports.find(name, ACCOUNTS_MAX)) {
    const key = splitAccountKey(account.key)?.key
    if (key === undefined) continue
    const events = await store.reports.events({ key, limit: ENTRIES_MAX })
    const changes = await store.reports.changes({ key, limit: ENTRIES_MAX })
    const timeline = [
      ...events.map((event) => ({
        atMs: event.takenMs,
        what: `event ${event.kind}`,
        serial: event.serial,
        actor: event.actor,
        details: [`via ${event.source}`, event.reason].filter((text) => text !== '').join(': '),
      })),
      ...changes.map((change) => ({
        atMs: change.closedMs ?? change.plannedMs,
        what: `${change.kind} ${change.state}`,
        serial: change.serial,
        actor: change.actor,
        details: change.reason,
      })),
    ]
    found.push({
      account,
      serials: await store.reports.serialsOf(key),
      mirrored: (await store.mirror.of(key)).map(reportOf),
      timeline: timeline.toSorted((a, b) => a.atMs - b.atMs),
    })
  }
  return found
}

function reportOf(mirrored: Mirrored): MirroredReport {
  const { kind, state } = mirrored
  return { kind, state, of: kind === 'token' ? mirrored.serial : `${mirrored.user.login}@${mirrored.user.realm}` }
}
