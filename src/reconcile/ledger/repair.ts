import { holdName } from '../../core/account/fold.ts'
import { holdNameOfSerial } from '../../core/names.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import { serialsIn } from '../../core/account/serial-values.ts'
import type { DesiredState, ObservedState, OurRecord } from '../../core/account/state.ts'
import type { Claim } from '../../ports/store/store.ts'
import type { Ports } from '../ports.ts'

/** A turn was aborted between row and files: the files of all that the account may have one of are read. */
export async function repairFiles(
  claim: Claim,
  desired: DesiredState,
  observed: ObservedState,
  { lock }: OurRecord,
  ports: Pick<Ports, 'ledger'>,
): Promise<void> {
  const named = [...desired.serials, ...desired.gone].map(holdNameOfSerial)
  // A hold may have ended since: the row of its lock was never written, and its file was.
  const past = [holdName('account', claim.key), holdName('lockout', claim.key)]
  const holds = new Set([...named, ...past, ...desired.holds.map(({ name }) => name), ...(claim.open?.holds ?? [])])
  await ports.ledger.repair(claim, lock, { holds: [...holds], serials: unregisteredOf(desired, observed) })
}

/** Serials that the account neither should have nor has: no file of them waits for a removal. */
function unregisteredOf({ serials, gone }: DesiredState, observed: ObservedState): DesiredState['gone'] {
  const { serialFormat, serialAttributeMultiValued, serialValues } = observed
  const carried = serialsIn(serialFormat, serialAttributeMultiValued, serialValues)
  const kept = new Set([...serials, ...carried].map(serialKey))
  return gone.filter((serial) => !kept.has(serialKey(serial)))
}
