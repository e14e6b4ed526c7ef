import { directoryOf, type Serial } from '../core/names.ts'
import { spelledAmong } from '../core/serials/serial-key.ts'
import { formatSerial, serialsIn } from '../core/account/serial-values.ts'
import type { DesiredState, ObservedState } from '../core/account/state.ts'
import type { Ports } from './ports.ts'

/** Serials that an account lacks, and the other accounts that may have them. */

/** Serials whose duplicates cannot be read are pending; the lock does not wait for them. */
export function knownOf(desired: DesiredState, observed: ObservedState): DesiredState {
  if (observed.duplicatesUnknown === undefined) return desired
  const waiting = observed.duplicatesUnknown.serials ?? missingSerials(desired, observed)
  return { ...desired, serials: desired.serials.filter((serial) => !waiting.includes(serial)) }
}

export function serialsWait(desired: DesiredState, observed: ObservedState): string {
  const missing = (observed.duplicatesUnknown?.serials ?? missingSerials(desired, observed)).join(', ')
  return `serial ${missing} is not written yet: ${observed.duplicatesUnknown?.reason ?? ''}`
}

/**
 * Mode `api`: privacyIDEA decides whose a token is, so that a serial waits for a directory that does not answer only
 * where it was ever an account's there, by the record. Any other is written. Should the directory come back with an
 * account that has it all the same, the next full resync finds that and removes it there, since privacyIDEA decides the
 * owner.
 */
export async function judgeDuplicates(
  desired: DesiredState,
  observed: ObservedState,
  ports: Pick<Ports, 'snapshot' | 'inbox'>,
): Promise<ObservedState> {
  const { duplicatesUnknown, ...known } = observed
  if (duplicatesUnknown === undefined || ports.snapshot === null) return observed
  const had = await ports.inbox.accountsOfSerials(missingSerials(desired, observed))
  const silent = duplicatesUnknown.directories
  const serials = missingSerials(desired, observed).filter((serial) =>
    (had.get(serial) ?? []).some((key) => silent.includes(directoryOf(key))),
  )
  return serials.length === 0 ? known : { ...known, duplicatesUnknown: { ...duplicatesUnknown, serials } }
}

export function missingSerials(desired: DesiredState, observed: ObservedState): Serial[] {
  if (desired.serials.length === 0) return []
  const there = serialsIn(observed.serialFormat, observed.serialAttributeMultiValued, observed.serialValues)
  return desired.serials.filter(
    (serial) =>
      spelledAmong(there, serial) === null &&
      !observed.serialValues.includes(formatSerial(observed.serialFormat, serial)),
  )
}
