import type { Serial } from '../core/names.ts'
import { formatSerial, serialsIn } from '../core/serial-values.ts'
import type { DesiredState, ObservedState } from '../core/state.ts'

/** Serials that an account lacks, and the others that may carry them. */

/** Serials whose carriers cannot be asked for wait; the lock does not wait for them. */
export function knownOf(desired: DesiredState, observed: ObservedState): DesiredState {
  if (observed.carriersUnknown === undefined) return desired
  const missing = missingSerials(desired, observed)
  return { ...desired, serials: desired.serials.filter((serial) => !missing.includes(serial)) }
}

export function serialsWait(desired: DesiredState, observed: ObservedState): string {
  const missing = missingSerials(desired, observed).join(', ')
  return `serial ${missing} is not written yet: ${observed.carriersUnknown?.reason ?? ''}`
}

export function missingSerials(desired: DesiredState, observed: ObservedState): Serial[] {
  if (desired.serials.length === 0) return []
  const there = serialsIn(observed.serialFormat, observed.serialAttributeMultiValued, observed.serialValues)
  return desired.serials.filter(
    (serial) => !there.includes(serial) && !observed.serialValues.includes(formatSerial(observed.serialFormat, serial)),
  )
}
