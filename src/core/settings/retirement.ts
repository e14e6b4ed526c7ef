import type { DirectoryName, Serial } from '../names.ts'
import { serialKey } from '../serials/serial-key.ts'
import type { Because, DesiredState } from '../account/state.ts'

/** A person's order to release everything of ours in a directory. */
export interface Retirement {
  readonly directory: DirectoryName
  /** In milliseconds since 1970. */
  readonly sinceMs: number
  readonly by: string
  /** When a search proved that nothing of ours is left there; null: that is still to be done. */
  readonly provenMs: number | null
}

/**
 * The desired state of a retired directory, for any events: no hold, and every serial that we may remove is gone.
 * Serials that were due to go before keep their own cause; all else goes because of the order.
 */
export function retired<State extends DesiredState>(
  desired: State,
  ours: readonly Serial[],
  { directory, by }: Pick<Retirement, 'directory' | 'by'>,
): State {
  const order: Because = { reason: { code: 'directory-retired', params: { directory } }, actor: by }
  const due = new Set(desired.gone.map(serialKey))
  const others = new Map(ours.flatMap((serial) => (due.has(serialKey(serial)) ? [] : [[serialKey(serial), serial]])))
  const ordered = [...others.values()]
  return {
    ...desired,
    serials: [],
    gone: [...desired.gone, ...ordered],
    because: { ...desired.because, ...Object.fromEntries(ordered.map((serial) => [serial, order])) },
    ...(desired.holds.length > 0 ? { ended: order } : {}),
    movedFrom: {},
    holds: [],
    expired: [],
    nextExpiryUs: null,
    heldAtUs: 0,
    heldKnownUs: 0,
  }
}
