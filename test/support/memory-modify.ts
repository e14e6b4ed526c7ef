import { AppError } from '../../src/core/error.ts'
import { type Modification, hasValue, sameValues, type AttributeValue } from '../../src/core/account/state.ts'

/** What a modification makes of the values of an attribute, in the directory in memory. */

export const MEMORY_CONTROL_ATTRIBUTE = 'userAccountControl'

/** One modification by the rules of RFC 4511, 4.6; a step that does not fit fails, and nothing is written. */
export function modified(
  current: readonly AttributeValue[],
  { op, attribute, values }: Modification,
  isMultiValued: boolean,
): readonly AttributeValue[] {
  if (op === 'replace') return values
  if (op === 'delete') {
    if (values.length === 0 && current.length > 0) return []
    if (values.length === 0 || !values.every((value) => hasValue(current, value)))
      throw raced(`${attribute} has changed`)
    return current.filter((value) => !hasValue(values, value))
  }
  if (values.some((value) => hasValue(current, value))) throw raced(`${attribute} has the value already`)
  const after = [...current, ...values]
  if (after.length > 1 && !isMultiValued) throw raced(`${attribute} has another value already`)
  return after
}

/** As Samba does it: a swap counts as done where the new value stands already, whatever the old one was. */
export function controlAfter(
  current: readonly AttributeValue[],
  modifications: readonly Modification[],
): readonly AttributeValue[] {
  const own = modifications.filter(({ attribute }) => attribute === MEMORY_CONTROL_ATTRIBUTE)
  const added = own.find(({ op }) => op === 'add')?.values
  if (added === undefined || sameValues(current, added)) return current
  const removed = own.find(({ op }) => op === 'delete')?.values ?? []
  if (!sameValues(current, removed)) throw raced(`${MEMORY_CONTROL_ATTRIBUTE} has changed`)
  return added
}

export function raced(what: string): AppError {
  return new AppError('write-raced', `nothing was written: ${what}`)
}
