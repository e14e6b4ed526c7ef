import { Client, InvalidCredentialsError, PresenceFilter } from 'ldapts'
import { AppError, toAppError } from '../core/error.ts'
import type { ChangeDraft } from '../core/change.ts'
import { parseLogin, parseSerial, holdNameOfSerial, type AccountKey, type Serial } from '../core/names.ts'
import { plan } from '../core/plan.ts'
import type { DirectorySettings } from '../core/settings.ts'
import { NOTHING_OF_OURS, type DesiredState, type ObservedState } from '../core/state.ts'
import type { LdapDirectory } from '../directory/ldap-directory.ts'
import { openSocket, serverOf } from '../directory/socket.ts'
import type { Findings } from './finding.ts'
import { writeRightFix } from './openldap-fix.ts'

/**
 * Sets and takes back a serial and a lock on a test account, by the same plan and the same writes as the daemon's, so
 * that what works here works there. The account is left as it was, also when something fails half-way.
 */
export interface ProbeAccount {
  readonly login: string | null
  /** The account's own password, to see a bind refused; null: not tried. */
  readonly password: string | null
}

/** A serial that no token has. */
const PROBE_SERIAL = 'LOCKSTEP-DOCTOR'
const NO_DESIRE: DesiredState = { serials: [], gone: [], movedFrom: {}, holds: [], nextExpiryUs: null }

export async function probeAccount(
  found: Findings,
  directory: LdapDirectory,
  account: ProbeAccount,
  context: string,
): Promise<void> {
  const login = parseLogin(account.login ?? '')
  const serial = parseSerial(PROBE_SERIAL)
  if (login === null || serial === null) {
    found.fail('probe', {
      what: 'the login of the test account is none',
      why: 'Nothing can be tried.',
      fix: 'lockstep doctor --probe LOGIN',
    })
    return
  }
  const key = await findAccount(found, directory, login)
  if (key === null) return
  const observed = await directory.observe(key, [], 0)
  const before = await snapshot(directory, observed.dn)
  if (!isFit(found, observed)) return
  const tried: Trial = { found, directory, key, context, account }
  await trySerial(tried, serial)
  await tryLock(tried, serial)
  const after = await snapshot(directory, observed.dn)
  if (after === before) found.ok('probe-left', `${observed.dn} is as it was before`)
  else {
    found.fail('probe-left', {
      what: `${observed.dn} is not as it was before`,
      why: 'The test should leave no trace.',
      fix: `Somebody else may have changed it meanwhile. Look at it: ldapsearch -b "${observed.dn}" -s base '*' +`,
    })
  }
}

interface Trial {
  readonly found: Findings
  readonly directory: LdapDirectory
  readonly key: AccountKey
  readonly context: string
  readonly account: ProbeAccount
}

async function findAccount(
  found: Findings,
  directory: LdapDirectory,
  login: NonNullable<ReturnType<typeof parseLogin>>,
): Promise<AccountKey | null> {
  try {
    const account = await directory.findByLogin(login, null)
    found.ok('probe-found', `the filter finds ${account.dn}`)
    return account.key
  } catch (error) {
    const { message, hint, code } = toAppError(error)
    found.fail('probe-found', {
      what: message,
      why: 'An event for this login would wait for ever.',
      fix: hint || 'Correct userFilter or base.',
      code,
    })
    return null
  }
}

function isFit(found: Findings, observed: ObservedState): boolean {
  const fix = 'Take another test account.'
  if (observed.protectedBy !== null) {
    found.fail('probe', {
      what: `${observed.dn} is protected: ${observed.protectedBy}`,
      why: 'It is never locked, so nothing can be tried on it.',
      fix,
    })
    return false
  }
  if (observed.lock.state === 'open') return true
  found.fail('probe', {
    what: `${observed.dn} is locked already, not by this test`,
    why: 'That lock is left alone.',
    fix,
  })
  return false
}

async function trySerial({ found, directory, key, context }: Trial, serial: Serial): Promise<void> {
  const { settings } = directory
  const observed = await directory.observe(key, [], 0)
  const planned = plan({ ...NO_DESIRE, serials: [serial] }, observed, NOTHING_OF_OURS, { onForeignUnlock: 'respect' })
  if (planned.kind !== 'change') {
    found.warn('serial-write', {
      what: `the serial ${serial} stands there already`,
      why: 'An earlier test was broken off.',
      fix: `Take it out of ${settings.serialAttribute} by hand.`,
    })
    return
  }
  try {
    await directory.apply(planned.change)
  } catch (error) {
    failWrite(found, 'serial-write', settings, settings.serialAttribute, context, toAppError(error))
    return
  }
  if (await takeBack(found, directory, planned.change, 'serial-write'))
    found.ok('serial-write', `a serial may be written to ${settings.serialAttribute} and taken out again`)
}

async function tryLock(trial: Trial, serial: Serial): Promise<void> {
  const { found, directory, key, context, account } = trial
  const { settings } = directory
  const observed = await directory.observe(key, [], 0)
  if (account.password !== null && !(await mayBind(settings, observed.dn, account.password))) {
    found.fail('probe-bind', {
      what: `a bind as ${observed.dn} with the given password is refused although it is not locked`,
      why: 'Whether a lock keeps it out cannot be seen.',
      fix: 'Correct LOCKSTEP_PROBE_PASSWORD.',
    })
    return
  }
  const hold = {
    name: holdNameOfSerial(serial),
    kind: 'token' as const,
    serial,
    sinceUs: 0,
    untilUs: null,
    reason: 'lockstep doctor',
    actor: '',
  }
  const planned = plan({ ...NO_DESIRE, holds: [hold] }, observed, NOTHING_OF_OURS, { onForeignUnlock: 'respect' })
  if (planned.kind !== 'change') throw new AppError('internal', `an open account gave the plan ${planned.kind}`)
  try {
    const locked = await directory.apply(planned.change)
    await judgeLock(trial, locked)
  } catch (error) {
    const attribute = planned.change.slots[0]?.attribute ?? ''
    failWrite(found, 'lock-write', settings, attribute, context, toAppError(error))
  }
  if (
    !(await isUnchanged(directory, key, observed)) &&
    !(await takeBack(found, directory, planned.change, 'lock-write'))
  )
    return
  if (account.password === null) return
  if (await mayBind(settings, observed.dn, account.password))
    found.ok('unlock-effective', 'a bind is good again after the unlock')
  else
    found.fail('unlock-effective', {
      what: `a bind as ${observed.dn} is refused after the unlock`,
      why: 'Its user would stay locked out.',
      fix: 'See the log of the directory server.',
    })
}

async function judgeLock({ found, directory, account }: Trial, locked: ObservedState): Promise<void> {
  found.ok('lock-write', `the lock may be written (${locked.lock.slots.map((slot) => slot.attribute).join(', ')})`)
  const why = 'The lock is written and keeps nobody out.'
  if (locked.lock.notEffective !== null)
    found.fail('lock-effective', { what: 'a lock does not bite', why, fix: locked.lock.notEffective })
  if (account.password === null) {
    found.warn('lock-effective', {
      what: 'whether a locked account is really refused was not tried',
      why: 'A policy that cannot be read from here may make a lock useless.',
      fix: "LOCKSTEP_PROBE_PASSWORD=… lockstep doctor --probe LOGIN, with the test account's own password",
    })
  } else if (await mayBind(directory.settings, locked.dn, account.password)) {
    found.fail('lock-effective', {
      what: `a bind as ${locked.dn} is accepted although the account is locked`,
      why,
      fix: locked.lock.notEffective ?? BITES_NOT,
    })
  } else found.ok('lock-effective', 'a bind is refused while locked')
}

const BITES_NOT =
  'Check that the overlay ppolicy is active on this database, that a policy applies to the account (olcPPolicyDefault, or its pwdPolicySubentry), and that it has pwdLockout: TRUE (docs/openldap.md, 2).'

/** Writes the inverse. False, with a finding, when the account may not be as it was. */
async function takeBack(
  found: Findings,
  directory: LdapDirectory,
  change: ChangeDraft,
  check: string,
): Promise<boolean> {
  const kind = change.kind === 'lock' ? 'unlock' : 'unregister'
  try {
    await directory.apply({ ...change, kind, forward: change.inverse, inverse: change.forward })
    return true
  } catch (error) {
    const { message, code } = toAppError(error)
    const attributes = change.inverse.flatMap((entry) => entry.modifications.map((each) => each.attribute)).join(', ')
    found.fail(check, {
      what: `what was written to ${change.dn} could not be taken back: ${message}`,
      why: 'The test account may be locked, or carry a serial that no token has.',
      fix: `Look at ${attributes} of ${change.dn} and correct it by hand.`,
      code,
    })
    return false
  }
}

async function isUnchanged(directory: LdapDirectory, key: AccountKey, before: ObservedState): Promise<boolean> {
  const now = await directory.observe(key, [], 0)
  return JSON.stringify(now.lock.slots) === JSON.stringify(before.lock.slots)
}

function failWrite(
  found: Findings,
  check: string,
  settings: DirectorySettings,
  attribute: string,
  context: string,
  error: AppError,
): void {
  const why = check === 'serial-write' ? 'Serials could not be kept at the account.' : 'Nobody could be locked.'
  const fix =
    error.code === 'directory-not-permitted'
      ? writeRightFix(settings, attribute, context)
      : error.hint || 'See the log of the directory server.'
  found.fail(check, { what: error.message, why, fix, code: error.code })
}

/** Binds as the account itself, on a connection of its own. False: refused (49, or 53 where a server says so). */
async function mayBind(settings: DirectorySettings, dn: string, password: string): Promise<boolean> {
  const socket = await openFirst(settings)
  const client = new Client({
    url: 'ldap://handed.over',
    timeout: settings.operationTimeoutMs,
    createConnection: () => socket,
  })
  try {
    await client.bind(dn, password)
    return true
  } catch (error) {
    if (error instanceof InvalidCredentialsError) return false
    throw new AppError('directory-refused', `the bind as ${dn} failed otherwise than by refusal`, { cause: error })
  } finally {
    socket.destroy()
  }
}

/** At the first server that answers. */
async function openFirst(settings: DirectorySettings): ReturnType<typeof openSocket> {
  let failure: unknown
  for (const url of settings.urls) {
    try {
      return await openSocket(serverOf(url, settings), settings)
    } catch (error) {
      failure = error
    }
  }
  throw toAppError(failure)
}

/** Everything at the entry that a person would call its content, byte for byte. */
async function snapshot(directory: LdapDirectory, dn: string): Promise<string> {
  const request = {
    base: dn,
    scope: 'base' as const,
    filter: new PresenceFilter({ attribute: 'objectClass' }),
    attributes: ['*', 'pwdAccountLockedTime', 'pwdPolicySubentry', 'entryUUID'],
    bytesOf: [],
    sizeMax: 1,
  }
  const [entry] = await directory.pool.read((connection) => connection.search(request))
  return JSON.stringify(Object.entries(entry ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
