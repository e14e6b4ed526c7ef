import type { AppError } from '../../../core/error.ts'
import { parseLogin, parseRealm, type AccountKey } from '../../../core/names.ts'
import type { DirectorySettings } from '../../../core/settings/settings.ts'
import type { Effectiveness } from '../../../core/account/state.ts'
import { driverOf } from '../../../directory/drivers/drivers.ts'
import type { CycleProbe } from '../../../directory/probe/probe-cycle.ts'
import type { DirectoryProbe } from '../../../directory/probe/probe.ts'
import type { Trustee } from '../../advice/active-directory-advice.ts'
import { troubleOf, type Findings } from '../findings.ts'
import { adviceOf } from '../../advice/directory-advice.ts'

/**
 * What `lockstep doctor --probe LOGIN` reports about a lock and a serial that were set and reverted on a test account.
 */

export interface ProbeAccount {
  readonly login: string
  readonly realm: string | null
  /** The account's own password, to check that a bind is refused; null: not tried. */
  readonly password: string | null
  /** Why the account is not known; null: it is, or this directory reports why not. */
  readonly error: AppError | null
  /** Another account that the login may mean too; null: none. */
  readonly note: string | null
}

/** Where the trial takes place, for the texts. */
export interface Place {
  readonly settings: DirectorySettings
  /** The naming context of the base. */
  readonly context: string
  /** Active Directory: the account that gets the rights. */
  readonly trustee?: Trustee
}

/** The result of a lock on the test account. */
export interface Trial {
  /** The lock was enforced; null: that was not tried. */
  readonly isEnforced: boolean | null
  /** By the readable parts of the policy. */
  readonly effective: Effectiveness['is']
  /** Where it was tried. */
  readonly url: string
}

const TRY_BIND = "LOCKSTEP_PROBE_PASSWORD=… lockstep doctor --probe LOGIN, with the test account's own password"
const KEEPS_NOBODY_OUT = 'The lock is written and is not enforced.'
/** Where an error does not say what to do. */
export const SEE_SERVER_LOG = 'See the log of the directory server.'

export async function probeAccount(
  found: Findings,
  probe: DirectoryProbe,
  account: ProbeAccount,
  place: Place,
): Promise<Trial | null> {
  const target = await findAccount(found, probe, account)
  if (target === null) return null
  const cycle = await probe.cycle(target.key, account.password)
  reportSerial(found, cycle, place)
  reportLock(found, cycle, target.dn, place)
  if (cycle.lock.kind === 'done') reportEffect(found, cycle, target.dn, place)
  if (cycle.isAsBefore) found.ok('probe-left', `${target.dn} is as it was before`)
  else {
    found.fail('probe-left', {
      what: `${target.dn} is not as it was before: ${cycle.left.join(', ')}`,
      why: 'The test account may be locked, or carry a serial that no token has.',
      fix: `Look at it and correct it by hand: ldapsearch -b "${target.dn}" -s base '*' +`,
    })
  }
  return { isEnforced: isEnforcedBy(cycle), effective: cycle.effective.is, url: place.settings.urls[0] ?? '' }
}

function isEnforcedBy({ bindBefore, bindWhileLocked }: CycleProbe): boolean | null {
  if (bindBefore !== 'accepted' || bindWhileLocked === 'not-tried') return null
  return bindWhileLocked === 'refused'
}

async function findAccount(
  found: Findings,
  probe: DirectoryProbe,
  account: ProbeAccount,
): Promise<{ key: AccountKey; dn: string } | null> {
  const login = parseLogin(account.login)
  if (login === null) {
    const what = 'the login of the test account holds control characters, or is too long'
    found.fail('probe-found', { what, why: 'Nothing can be tried.', fix: 'lockstep doctor --probe LOGIN' })
    return null
  }
  try {
    if (account.error !== null) throw account.error
    const { account: target } = await probe.login(login, account.realm === null ? null : parseRealm(account.realm))
    found.ok('probe-found', `the filter finds ${target.dn}${account.note === null ? '' : ` (${account.note})`}`)
    return target
  } catch (error) {
    const why = 'An event for this login would wait for ever.'
    found.fail('probe-found', troubleOf(error, why, 'Correct userFilter or base.'))
    return null
  }
}

function reportSerial(found: Findings, { register, unregister }: CycleProbe, place: Place): void {
  const { serialAttribute } = place.settings
  const why = 'Serials could not be kept at the account.'
  if (register.kind === 'failed') failWrite(found, 'serial-write', register.error, serialAttribute, why, place)
  else if (register.kind === 'skipped') {
    const fix = `Take it out of ${serialAttribute} by hand; an earlier test may have been broken off.`
    found.warn('serial-write', { what: register.reason, why: 'Whether a serial may be written was not tried.', fix })
  } else if (unregister.kind === 'done') {
    found.ok('serial-write', `a serial may be written to ${serialAttribute} and taken out again`)
  }
}

function reportLock(found: Findings, { lock, unlock }: CycleProbe, dn: string, place: Place): void {
  if (lock.kind === 'skipped') {
    const why = 'Nothing can be tried on it.'
    found.fail('lock-write', { what: `${dn}: ${lock.reason}`, why, fix: 'Take another test account.' })
    return
  }
  if (lock.kind === 'failed') {
    const attribute = driverOf(place.settings).lockAttributes[0] ?? place.settings.lock[0]?.attribute ?? ''
    failWrite(found, 'lock-write', lock.error, attribute, 'Nobody could be locked.', place)
    return
  }
  if (unlock.kind === 'done') found.ok('lock-write', 'a lock may be written and removed')
}

/** With the account's own password: accepted, refused, accepted. */
function reportEffect(found: Findings, cycle: CycleProbe, dn: string, place: Place): void {
  const { bindBefore, bindWhileLocked, bindAfter, effective } = cycle
  const notEffective = effective.is === 'no' ? effective.reason : null
  const why = KEEPS_NOBODY_OUT
  if (bindBefore === 'refused') {
    const what = `a bind as ${dn} with the given password is refused although it is not locked`
    const fix = 'Correct LOCKSTEP_PROBE_PASSWORD.'
    found.fail('probe-bind', { what, why: 'Whether a lock keeps it out cannot be seen.', fix })
  } else if (bindWhileLocked === 'accepted') {
    const what = `a bind as ${dn} is accepted although the account is locked`
    found.fail('lock-effective', { what, why, fix: notEffective ?? adviceOf(place.settings.type).notEnforced })
  } else if (bindWhileLocked === 'refused') found.ok('lock-effective', 'a bind is refused while locked')
  else if (notEffective !== null)
    found.fail('lock-effective', { what: 'a lock is not enforced', why, fix: notEffective })
  else if (effective.is === 'yes') {
    found.ok('lock-effective', 'as the directory reports, a lock locks its user out')
    if (bindWhileLocked === 'not-tried') {
      found.skip('probe-bind', {
        what: `a bind as ${dn} while it is locked: not tried, since its password was not given`,
        why: 'Only a bind shows whether the server enforces what it reports.',
        fix: TRY_BIND,
      })
    }
  } else {
    found.warn('lock-effective', {
      what: 'whether a locked account is really refused was not tried',
      why: 'A policy that cannot be read from here may make a lock useless.',
      fix: TRY_BIND,
    })
  }
  if (bindBefore !== 'accepted') return
  if (bindAfter === 'accepted') found.ok('unlock-effective', 'a bind is good again after the unlock')
  else {
    const what = `a bind as ${dn} is refused after the unlock`
    found.fail('unlock-effective', { what, why: 'Its user would stay locked out.', fix: SEE_SERVER_LOG })
  }
}

function failWrite(
  found: Findings,
  check: string,
  error: AppError,
  attribute: string,
  why: string,
  { settings, context, trustee }: Place,
): void {
  const trouble = troubleOf(error, why, SEE_SERVER_LOG)
  const isRight = error.code === 'directory-not-permitted'
  const fix = isRight ? adviceOf(settings.type).writeRight(settings, attribute, context, trustee) : trouble.fix
  found.fail(check, { ...trouble, fix })
}
