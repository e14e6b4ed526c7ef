import type { ChangeDraft } from './change.ts'
import { plan, type PlanOptions } from './plan.ts'
import { ownedAfter } from './recover.ts'
import {
  type Modification,
  hasValue,
  type AttributeValue,
  type DesiredState,
  type ObservedState,
  type OurRecord,
} from './state.ts'

/** A change makes way for the next; an account with more serials than this is shown in part. */
const ROUNDS_MAX = 200

/** All changes that would be written one after the other, the first of them as it was planned. */
export function dryRun(
  first: ChangeDraft,
  desired: DesiredState,
  observed: ObservedState,
  ours: OurRecord,
  options: PlanOptions,
): ChangeDraft[] {
  const changes = [first]
  let [seen, record] = [afterChange(first, observed), recordAfter(first, ours)]
  while (changes.length < ROUNDS_MAX) {
    const planned = plan(desired, seen, record, options)
    if (planned.kind !== 'change') return changes
    changes.push(planned.change)
    seen = afterChange(planned.change, seen)
    record = recordAfter(planned.change, record)
  }
  return changes
}

/** `lock`, `register TOTP0001`. */
export function changesNamed(changes: readonly ChangeDraft[]): string[] {
  return changes.map(changeName)
}

export function changeName({ kind, serial }: { readonly kind: string; readonly serial: string | null }): string {
  return serial === null ? kind : `${kind} ${serial}`
}

function recordAfter(change: ChangeDraft, ours: OurRecord): OurRecord {
  return { lock: ownedAfter(change, ours) }
}

/** The account after the change; after an unlock it only matters that nothing of ours is left. */
function afterChange(change: ChangeDraft, observed: ObservedState): ObservedState {
  if (change.kind === 'lock') {
    const slots = observed.lock.slots.map((slot) => ({ ...slot, current: slot.locked }))
    return { ...observed, lock: { ...observed.lock, state: 'as-ours', slots } }
  }
  if (change.serial === null) return observed
  const { modifications } = change.forward[0] ?? { modifications: [] }
  const serialValues = modifications.reduce(modified, observed.serialValues)
  return { ...observed, serialValues }
}

function modified(values: readonly AttributeValue[], { op, values: named }: Modification): readonly AttributeValue[] {
  if (op === 'replace') return named
  const others = values.filter((value) => !hasValue(named, value))
  if (op === 'add') return [...others, ...named]
  return named.length === 0 ? [] : others
}
