import type { ChangeDraft } from '../../core/account/change.ts'
import { toAppError, type AppError } from '../../core/error.ts'
import { holdNameOfSerial, parseSerial, type AccountKey, type Serial } from '../../core/names.ts'
import { plan } from '../../core/account/plan.ts'
import {
  NOTHING_OF_OURS,
  sameValues,
  type DesiredState,
  type Effectiveness,
  type ObservedState,
  type OurRecord,
} from '../../core/account/state.ts'
import type { LdapDirectory } from '../ldap-directory.ts'

/** One step of the trial: done, failed with its reason, or left out with the reason as text. */
export type Step =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: AppError }
  | { readonly kind: 'skipped'; readonly reason: string }

export type BindResult = 'accepted' | 'refused' | 'not-tried'

/** The results of a lock, an unlock, and a serial in and out at a test account. */
export interface CycleProbe {
  readonly lock: Step
  readonly unlock: Step
  readonly register: Step
  readonly unregister: Step
  /** With the account's own password. A lock that works: accepted, refused, accepted. */
  readonly bindBefore: BindResult
  readonly bindWhileLocked: BindResult
  readonly bindAfter: BindResult
  /** As the directory reports it while locked. */
  readonly effective: Effectiveness
  /** True when lock and serials are as before; else `left` names the differences. */
  readonly isAsBefore: boolean
  readonly left: readonly string[]
}

/** Tries to revert a change when the answer was lost or another client wrote at the same time. */
const TAKE_BACK_TRIES_MAX = 3
const PROBE_SERIAL = 'LOCKSTEP-PROBE'

const DONE: Step = { kind: 'done' }
const NOTHING: DesiredState = {
  serials: [],
  gone: [],
  movedFrom: {},
  holds: [],
  nextExpiryUs: null,
  heldAtUs: 0,
  heldKnownUs: 0,
}

/**
 * Locks and unlocks a test account, and puts a serial in and takes it out, to see whether that works. In every case
 * what was written is reverted, and nothing else is touched.
 */
export async function tryCycle(
  directory: LdapDirectory,
  key: AccountKey,
  bind: ((dn: string) => Promise<'accepted' | 'refused'>) | null,
): Promise<CycleProbe> {
  const before = await directory.observe(key, [], 0)
  const tryBind = async (): Promise<BindResult> => (bind === null ? 'not-tried' : bind(before.dn))
  const bindBefore = await tryBind()
  const locking = await tryLock(directory, before, tryBind)
  const bindAfter = await tryBind()
  const serials = await trySerial(directory, key)
  const left = differences(before, await directory.observe(key, [], 0))
  return { bindBefore, ...locking, bindAfter, ...serials, isAsBefore: left.length === 0, left }
}

type Locking = Pick<CycleProbe, 'lock' | 'unlock' | 'bindWhileLocked' | 'effective'>

async function tryLock(
  directory: LdapDirectory,
  before: ObservedState,
  tryBind: () => Promise<BindResult>,
): Promise<Locking> {
  const skipped = (reason: string): Locking => {
    const step: Step = { kind: 'skipped', reason }
    return { lock: step, unlock: step, bindWhileLocked: 'not-tried', effective: before.lock.effective }
  }
  if (before.protectedBy !== null) return skipped(`the account is protected: ${before.protectedBy}`)
  if (before.protectionUnread !== undefined) return skipped(before.protectionUnread.reason)
  if (before.lock.state !== 'open') return skipped('the account is locked already; name one that is not')
  const change = drafted({ ...NOTHING, holds: [probeHold()] }, before)
  if (change === null) return skipped('nothing would be written')
  let bindWhileLocked: BindResult = 'not-tried'
  let { effective } = before.lock
  let lock: Step = DONE
  try {
    effective = (await directory.apply(change)).lock.effective
    bindWhileLocked = await tryBind()
  } catch (error) {
    lock = { kind: 'failed', error: toAppError(error) }
  }
  const unlock = await takeBack(directory, change.key, (now) => drafted(NOTHING, now, ownedBy(change)))
  const isMissing = lock.kind === 'failed' && unlock.kind === 'skipped'
  return {
    lock,
    unlock: isMissing ? { kind: 'skipped', reason: 'it was not locked' } : unlock,
    bindWhileLocked,
    effective,
  }
}

async function trySerial(
  directory: LdapDirectory,
  key: AccountKey,
): Promise<Pick<CycleProbe, 'register' | 'unregister'>> {
  const serial = probeSerial()
  const change = drafted({ ...NOTHING, serials: [serial] }, await directory.observe(key, [], 0))
  if (change === null) {
    const step: Step = { kind: 'skipped', reason: `${PROBE_SERIAL} is at the account already` }
    return { register: step, unregister: step }
  }
  let register: Step = DONE
  try {
    await directory.apply(change)
  } catch (error) {
    register = { kind: 'failed', error: toAppError(error) }
  }
  return { register, unregister: await takeBack(directory, key, (now) => drafted({ ...NOTHING, gone: [serial] }, now)) }
}

/** Reads, and writes what is left to revert, until nothing is. */
async function takeBack(
  directory: LdapDirectory,
  key: AccountKey,
  draft: (now: ObservedState) => ChangeDraft | null,
): Promise<Step> {
  let failure: AppError | null = null
  let written = false
  for (let tries = 0; tries < TAKE_BACK_TRIES_MAX; tries++) {
    try {
      const change = draft(await directory.observe(key, [], 0))
      if (change === null)
        return written || failure !== null ? DONE : { kind: 'skipped', reason: 'nothing stood there' }
      await directory.apply(change)
      written = true
      failure = null
    } catch (error) {
      failure = toAppError(error)
    }
  }
  return failure === null ? DONE : { kind: 'failed', error: failure }
}

function drafted(want: DesiredState, now: ObservedState, ours: OurRecord = NOTHING_OF_OURS): ChangeDraft | null {
  const planned = plan(want, now, ours, { onForeignUnlock: 'respect' })
  return planned.kind === 'change' ? planned.change : null
}

function ownedBy(change: ChangeDraft): OurRecord {
  return { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
}

function probeSerial(): Serial {
  const serial = parseSerial(PROBE_SERIAL)
  if (serial === null) throw new RangeError('a serial that is none')
  return serial
}

function probeHold(): DesiredState['holds'][number] {
  const serial = probeSerial()
  const reason = { code: 'doctor-probe', params: {} } as const
  return { name: holdNameOfSerial(serial), kind: 'token', serial, sinceUs: 0, untilUs: null, reason, actor: 'doctor' }
}

function differences(before: ObservedState, after: ObservedState): string[] {
  const left: string[] = []
  if (!sameValues(before.serialValues, after.serialValues)) left.push(before.serialAttribute)
  before.lock.slots.forEach((slot, index) => {
    const now = after.lock.slots[index]
    if (now === undefined || !sameValues(slot.current, now.current)) left.push(`${slot.attribute} of ${slot.dn}`)
  })
  return left
}
