import { EqualityFilter } from 'ldapts'
import { AppError } from '../../core/error.ts'
import type { Dn } from '../../core/names.ts'
import type { LockAssignment } from '../../core/settings/settings.ts'
import { isLocked } from '../../core/account/slot.ts'
import type { AttributeValue, LockObservation, LockSlot } from '../../core/account/state.ts'
import { normalDn } from '../../core/dn.ts'
import {
  NO_CONTEXT,
  type AccountEntry,
  type LockContext,
  type LockDriver,
  type MarkedElsewhere,
  type PlaceElsewhere,
} from './driver.ts'

const MODES = { set: 'whole', add: 'value', remove: 'absent' } as const
const DN_PLACEHOLDER = '{dn}'
const LOGIN_PLACEHOLDER = '{login}'

/** A lock that the configuration describes as attribute assignments, in the account's own entry or in others. */
export function customDriver(assignments: readonly LockAssignment[]): LockDriver<null> {
  const own = assignments.filter((assignment) => assignment.dn === null)
  const others = assignments.filter((assignment) => assignment.dn !== null)
  const attributes = [...new Set(own.map((assignment) => assignment.attribute))]
  return {
    attributes,
    lockAttributes: attributes,
    coverable: [],
    singleValued: [],
    ...NO_CONTEXT,
    addressOf: (_id, dn) => dn,
    protects: () => null,
    restsOnPoliciesSince: () => null,
    placesElsewhere: (account) => others.map((assignment) => placeOf(assignment, account)),
    readLock: (account, context) => readLock(account, context, own, others),
    marks: () => own.flatMap(markOf),
    markedElsewhere: () => others.flatMap(markedElsewhereOf),
  }
}

function readLock(
  account: AccountEntry,
  context: LockContext<null>,
  own: readonly LockAssignment[],
  others: readonly LockAssignment[],
): LockObservation {
  const slots = [
    ...own.flatMap((each) => slotsOf(each, account, account.dn, account.values(each.attribute))),
    ...others.flatMap((each, index) => {
      return slotsOf(each, account, each.dn ?? account.dn, context.elsewhere[index] ?? [])
    }),
  ]
  const state = slots.every(isLocked) ? 'as-ours' : 'open'
  // The configuration does not describe other locks there, so none is looked for.
  return { state, other: null, slots, effective: { is: 'yes' } }
}

function slotsOf(
  assignment: LockAssignment,
  account: AccountEntry,
  dn: Dn,
  current: readonly AttributeValue[],
): LockSlot[] {
  const { attribute, op } = assignment
  const values = assignment.values.map((value) => spelledAsIn(current, value, filled(value, account)))
  if (op === 'set') return [{ dn, attribute, mode: MODES[op], current, locked: values }]
  return values.map((value) => ({ dn, attribute, mode: MODES[op], current, locked: [value] }))
}

/** Fails with `directory-refused` where the account has no login to put in. */
function filled(value: string, account: AccountEntry): string {
  const { dn, login } = account
  if (login === null && value.includes(LOGIN_PLACEHOLDER)) {
    throw new AppError('directory-refused', `${dn} has no login that {login} of its lock could stand for`, {
      hint: 'Set loginAttribute to the attribute that holds the login.',
    })
  }
  return value.replaceAll(DN_PLACEHOLDER, () => dn).replaceAll(LOGIN_PLACEHOLDER, () => login ?? '')
}

/** The server may store the same DN in another spelling; then that one is used. */
function spelledAsIn(current: readonly AttributeValue[], template: string, value: string): string {
  if (template !== DN_PLACEHOLDER) return value
  const normal = normalDn(value)
  const found = current.find((each) => typeof each === 'string' && normalDn(each) === normal)
  return typeof found === 'string' ? found : value
}

function placeOf(assignment: LockAssignment, account: AccountEntry): PlaceElsewhere {
  return {
    dn: assignment.dn ?? account.dn,
    attribute: assignment.attribute,
    values: assignment.op === 'set' ? null : assignment.values.map((value) => filled(value, account)),
  }
}

/**
 * Accounts whose own entry has the value. A lock that is an absence, or a value per account, cannot be searched for.
 */
function markOf(assignment: LockAssignment): EqualityFilter[] {
  const [value] = assignment.values
  if (assignment.op === 'remove' || value === undefined || /\{(?:dn|login)\}/.test(value)) return []
  return [new EqualityFilter({ attribute: assignment.attribute, value })]
}

function markedElsewhereOf(assignment: LockAssignment): MarkedElsewhere[] {
  if (assignment.op !== 'add' || assignment.dn === null) return []
  const { dn, attribute } = assignment
  if (assignment.values.includes(DN_PLACEHOLDER)) return [{ dn, attribute, names: 'dn' }]
  return assignment.values.includes(LOGIN_PLACEHOLDER) ? [{ dn, attribute, names: 'login' }] : []
}
