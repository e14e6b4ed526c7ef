import { EqualityFilter } from 'ldapts'
import type { Dn } from '../../core/names.ts'
import type { AttributeValue } from '../../core/account/state.ts'
import type { AccountReader } from './account.ts'
import type { PlaceElsewhere } from '../drivers/driver.ts'
import { valuesIn } from '../protocol/entry.ts'
import { oneEntry, type Reads } from '../ldap/reads.ts'

/** Values in other entries (groups) that the lock of an account is made of. */

const NO_ATTRIBUTES = ['1.1']

/** As far as it matters for the account: those of the requested values that are stored there. */
export async function valuesAt(
  reads: Reads,
  reader: AccountReader,
  place: PlaceElsewhere,
): Promise<readonly AttributeValue[]> {
  if (place.values === null) return allValuesAt(reads, reader, place.dn, place.attribute)
  const found = place.values.map(async (value) => {
    const filter = new EqualityFilter({ attribute: place.attribute, value })
    const request = oneEntry(place.dn, NO_ATTRIBUTES, { filter })
    return (await reads.read((connection) => connection.search(request))).length > 0
  })
  const present = await Promise.all(found)
  return place.values.filter((_, index) => present[index])
}

export async function allValuesAt(
  reads: Reads,
  reader: AccountReader,
  dn: Dn,
  attribute: string,
): Promise<AttributeValue[]> {
  const canonical = reader.facts.canonical(attribute)
  const request = oneEntry(dn, [attribute], { bytesOf: [canonical] })
  const [entry] = await reads.read((connection) => connection.search(request))
  return valuesIn(entry, canonical)
}
