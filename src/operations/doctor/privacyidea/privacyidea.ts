import { span } from '../../../core/format/duration.ts'
import { toAppError } from '../../../core/error.ts'
import { isLoopback } from '../../../core/loopback.ts'
import { needsReset, type Settings, type SourceSettings } from '../../../core/settings/settings.ts'
import { driverOf } from '../../../directory/drivers/drivers.ts'
import { systemClock } from '../../../ports/clock.ts'
import type { PrivacyIdeaPort } from '../../../ports/privacyidea.ts'
import type { SecretReader } from '../../../ports/secret.ts'
import { Client } from '../../../privacyidea/http/client.ts'
import { openPrivacyIdea } from '../../../privacyidea/open-privacyidea.ts'
import { isAtLeast, policyLine, runTimeRights } from '../../../privacyidea/setup/policies.ts'
import { lockAttributesIn, readLdapResolvers, readRealms } from '../../../privacyidea/readings/realms-and-resolvers.ts'
import { ASK_AN_ADMIN, checkBindings } from './bindings.ts'
import { checkShims, WHY_UNTRIED, type ShimsState } from './shims.ts'
import type { ShimsTrial } from '../../setup/shims-trial.ts'
import { Findings, troubleOf, type Finding } from '../findings.ts'

/** Checks of `lockstep doctor` in privacyIDEA. Nothing is written there. */

export interface SourceDiagnosis {
  readonly readSecret: SecretReader
  /** An administrator who may see event handlers and resolvers, only for this run; null: as the service itself. */
  readonly admin: { readonly user: string; readonly password: string } | null
  /** privacyIDEA's script directory, when it is on this machine; null: where the packages put it. */
  readonly scriptsDir: string | null
  /** The result of running the scripts there; null or left out: they were not run. */
  readonly shims?: ShimsTrial | null
}

/** Measured on these; earlier versions were only read about. */
const MEASURED_MIN = { major: 3, minor: 11 }
const MEASURED_MAX = { major: 3, minor: 14 }
const SKEW_WARN_MS = 2_000
const SKEW_FAIL_MS = 60_000
/** The header Date has whole seconds. */
const DATE_STEP_MS = 1_000
/** Why the mirror needs a right. */
const MIRROR_RIGHT =
  'policy.mirrorDirectoryLocks needs it: without it locks of others in the directory do not reach privacyIDEA, or stay there.'
const WHY_RIGHT: Readonly<Record<string, string>> = {
  tokenlist:
    'Without it privacyIDEA answers with an empty list, which is never trusted: nothing is locked or unlocked.',
  userlist: 'Without it users are not found by login.',
  auditlog: 'Without it `lockstep rehearse` cannot read the audit log.',
  user_lock_read: 'Without it user lockouts of privacyIDEA are not seen, and their accounts stay open.',
  authentication_log_read: 'Without it failed logins at /auth show a scan later.',
  user_lock_set: MIRROR_RIGHT,
  user_lock_reset: MIRROR_RIGHT,
  disable: MIRROR_RIGHT,
  enable: MIRROR_RIGHT,
  reset: 'By policy (onForeignUnlock: reset-token, or resetTokenOnTtl) fail counters are reset, which takes it.',
}
const NEEDED = new Set([
  ...['tokenlist', 'userlist', 'user_lock_read', 'reset'],
  ...['user_lock_set', 'user_lock_reset', 'disable', 'enable'],
])
/** Where an error does not say what to do. */
const RUN_AGAIN = 'Run it again with LOCKSTEP_DEBUG=1.'
/** Rights that let anybody with the password take over privacyIDEA. */
const DANGEROUS = ['*', 'eventhandling_write', 'policywrite', 'resolverwrite', 'adduser']

export async function privacyIdeaFindings(settings: Settings, how: SourceDiagnosis): Promise<readonly Finding[]> {
  const found = new Findings('privacyIDEA')
  const shims = new Findings('privacyIDEA')
  const state = await checkShims(shims, { dir: how.scriptsDir, trial: how.shims ?? null }, settings)
  const { privacyidea } = settings
  if (privacyidea === null) {
    found.skip('reach', {
      what: 'privacyIDEA itself: not asked, since the configuration has no section privacyidea (mode events)',
      why: 'What no event reported is not found, as a lock that ended by itself.',
      fix: 'Write privacyidea: { url: …, user: …, passwordFile: … } (docs/how-to/privacyidea-api.md).',
    })
  }
  const via = privacyidea === null ? 'unknown' : await checkServer(found, settings, privacyidea, how, state)
  if (state.is === 'untried' && via === 'unknown' && areShimsExpected(settings, how)) {
    shims.skip('shims', { what: state.what, why: WHY_UNTRIED, fix: state.fix })
  }
  return [...found.all, ...shims.all]
}

/** Where it is not known how privacyIDEA calls Lockstep. */
function areShimsExpected({ intake }: Settings, { scriptsDir, shims = null }: SourceDiagnosis): boolean {
  return scriptsDir !== null || (shims !== null && (intake.http === null || !shims.hasNone))
}

/** @returns how the event handlers call Lockstep */
async function checkServer(
  found: Findings,
  settings: Settings,
  source: SourceSettings,
  how: SourceDiagnosis,
  shims: ShimsState,
): Promise<Awaited<ReturnType<typeof checkBindings>>> {
  let via: Awaited<ReturnType<typeof checkBindings>> = 'unknown'
  checkAddress(found, source)
  await using client = new Client(source, how.readSecret, systemClock)
  try {
    if (!(await checkLogin(found, client, source))) {
      skipRest(found)
      return via
    }
    const { text: version } = await client.version()
    checkVersion(found, version)
    await checkRights(found, client, settings, version)
    await checkTokens(found, source, how)
    await checkClock(found, client)
    await checkRealms(found, client, settings)
    await withAdmin(source, how, client, async (admin, isService) => {
      via = await checkBindings(found, admin, settings, { ...how, isService, shims })
      await checkResolvers(found, admin, settings, isService)
    })
  } catch (thrown) {
    found.fail('reach', troubleOf(thrown, 'Nothing more could be found out.', RUN_AGAIN))
    skipRest(found)
  }
  return via
}

/** The checks that were left out after a call that failed. */
function skipRest(found: Findings): void {
  const rest = Object.entries(CALLS).flatMap(([check, what]) =>
    found.all.some((each) => each.check === check) ? [] : what,
  )
  if (rest.length === 0) return
  found.skip('not-reached', {
    what: `not looked at: ${rest.join(', ')}`,
    why: 'privacyIDEA has to answer for that.',
    fix: 'Mend what failed before, then: lockstep doctor',
  })
}

const CALLS: Readonly<Record<string, string>> = {
  version: 'version',
  rights: 'rights',
  tokens: 'tokens',
  'clock-skew': 'clock',
  realms: 'realms',
  bindings: 'event handlers',
  'resolver-filter': 'search filters of resolvers',
}

function checkAddress(found: Findings, { url }: SourceSettings): void {
  const { protocol, hostname } = new URL(url)
  if (protocol === 'https:' || isLoopback(hostname)) return
  found.warn('tls', {
    what: `${url} is not secured by TLS`,
    why: 'The password and the token cross the network in the clear, and anybody on the way may answer in its place.',
    fix: 'Put https:// into privacyidea.url, and the certification authority into privacyidea.ca.',
  })
}

async function checkLogin(found: Findings, client: Client, source: SourceSettings): Promise<boolean> {
  try {
    const login = await client.login()
    // A token of its own is only proven by a call.
    await client.version()
    const tls = source.url.startsWith('https:') ? ', TLS verified' : ''
    found.ok('reach', `${source.url} answers${tls}`)
    found.ok(
      'login',
      `logged in as ${login.user || 'the account of the token'}${login.realm === '' ? '' : `@${login.realm}`}`,
    )
    return true
  } catch (thrown) {
    const error = toAppError(thrown)
    const check = error.code === 'source-login-refused' ? 'login' : error.code === 'source-tls' ? 'tls' : 'reach'
    const why = 'Without it tokens cannot be read. No account changes until it is mended.'
    found.fail(check, troubleOf(error, why, RUN_AGAIN))
    return false
  }
}

function checkVersion(found: Findings, version: string): void {
  const isOld = !isAtLeast(version, MEASURED_MIN.major, MEASURED_MIN.minor)
  const isNew = isAtLeast(version, MEASURED_MAX.major, MEASURED_MAX.minor + 1)
  if (!isOld && !isNew) return found.ok('version', `version ${version}`)
  found.warn('version', {
    what: `version ${version} is ${isOld ? 'older' : 'newer'} than those that Lockstep was measured with (3.11 to 3.14)`,
    why: 'Answers and events may differ in ways that nobody looked at.',
    fix: isOld
      ? 'Update privacyIDEA.'
      : 'See whether there is a newer Lockstep; rehearse and dry-run before relying on it.',
  })
}

async function checkRights(found: Findings, client: Client, settings: Settings, version: string): Promise<void> {
  const { rights, user } = await client.login()
  const { mirrorDirectoryLocks } = settings.policy
  const resetsTokens = needsReset(settings.policy)
  const wanted = runTimeRights({ version, resetsTokens, mirrorDirectoryLocks })
  if (mirrorDirectoryLocks === 'user-lock' && !isAtLeast(version, 3, 14)) {
    found.fail('mirror', {
      what: `policy.mirrorDirectoryLocks is user-lock, and privacyIDEA ${version} has no user lockouts`,
      why: 'They came with 3.14. Accounts that others lock in the directory stay open in privacyIDEA.',
      fix: `Write mirrorDirectoryLocks: disable-tokens into ${settings.file}, or update privacyIDEA.`,
    })
  }
  if (rights === null) {
    return found.skip('rights', {
      what: 'the rights of the account: not looked at, since an API key does not name them',
      why: 'A missing right would show when it is needed.',
      fix: `See in Config, Policies of privacyIDEA whether it has ${wanted.join(', ')}`,
    })
  }
  const missing = rights.has('*') ? [] : wanted.filter((right) => !rights.has(right))
  const fix = `lockstep privacyidea setup --policies --account ${user}`
  for (const right of missing) {
    const byHand = `${fix}\nBy hand, in Config, Policies: ${policyLine(user, [right])}`
    const trouble = { what: `${user} has no right ${right}`, why: WHY_RIGHT[right] ?? '', fix: byHand }
    found[NEEDED.has(right) ? 'fail' : 'warn']('rights', trouble)
  }
  if (!wanted.includes('reset') && !rights.has('*') && !rights.has('reset')) {
    found.warn('rights', {
      what: `${user} has no right reset`,
      why: 'Without it `lockstep unlock --reset-token` refuses.',
      fix: `${fix}\nBy hand, in Config, Policies: ${policyLine(user, ['reset'])}`,
    })
  }
  const dangerous = DANGEROUS.filter((right) => rights.has(right))
  if (dangerous.length > 0) {
    found.warn('rights-too-many', {
      what: `${user} also has ${dangerous.join(', ').replace('*', 'every right (*)')}`,
      why: 'Everybody who reads the password file could take privacyIDEA over, and run programs on its machine.',
      fix: `Give it a policy of its own: ${fix}`,
    })
  }
  if (missing.length === 0) found.ok('rights', `${user} has ${wanted.join(', ')}`)
}

/** A missing right shows as an empty 200, so a token has to be seen. */
async function checkTokens(found: Findings, source: SourceSettings, how: SourceDiagnosis): Promise<void> {
  await using port = openPrivacyIdea(source, how.readSecret, systemClock)
  try {
    await port.proveTokenList()
    found.ok('tokens', source.knownToken === null ? 'tokens show' : `the token ${source.knownToken} shows`)
    await checkClearTimeout(found, port)
  } catch (thrown) {
    found.fail('tokens', troubleOf(thrown, 'An empty answer is never trusted: no account changes.', RUN_AGAIN))
  }
}

/**
 * Without the setting an account stays locked until the next attempt, where privacyIDEA would accept its user before.
 */
async function checkClearTimeout(found: Findings, port: PrivacyIdeaPort): Promise<void> {
  try {
    const timeoutMs = await port.failCounterClearTimeoutMs()
    found.ok(
      'clear-timeout',
      timeoutMs === null
        ? 'a full fail counter is cleared by a reset or a success alone'
        : `a full fail counter is over after ${span(timeoutMs)}`,
    )
  } catch (thrown) {
    const error = toAppError(thrown)
    if (error.code !== 'source-not-permitted') throw thrown
    found.skip('clear-timeout', {
      what: 'after how long a full fail counter is over: not looked at, since it may not be read (right configread)',
      why: 'A lock then lasts until the next attempt, where privacyIDEA would let its user in before.',
      fix: 'Where that matters: give the account the right configread (Config, Policies of privacyIDEA).',
    })
  }
}

async function checkClock(found: Findings, client: Client): Promise<void> {
  const beforeMs = Date.now()
  const { dateMs } = await client.call({ method: 'GET', path: '/token/', query: { page: 1, pagesize: 1 } })
  const afterMs = Date.now()
  if (dateMs === null) {
    return found.skip('clock-skew', {
      what: 'the clock of privacyIDEA: not looked at, since its answers have no header Date',
      why: 'The newest event decides, and an event carries the time of the machine that took it.',
      fix: 'On its machine: timedatectl; a proxy before it may take the header out.',
    })
  }
  const ahead = dateMs - afterMs
  const behind = beforeMs - (dateMs + DATE_STEP_MS)
  const skewMs = Math.max(ahead, behind, 0)
  if (skewMs <= SKEW_WARN_MS) return found.ok('clock-skew', 'its clock agrees with ours')
  found[skewMs > SKEW_FAIL_MS ? 'fail' : 'warn']('clock-skew', {
    what: `its clock is ${span(Math.round(skewMs / 1000) * 1000)} ${ahead > behind ? 'ahead of' : 'behind'} ours`,
    why: 'The newest event decides, and an event carries the time of the machine that took it.',
    fix: 'Set the clocks of both machines, and keep them right: timedatectl set-ntp true',
  })
}

async function checkRealms(found: Findings, client: Client, settings: Settings): Promise<void> {
  const there = await readRealms(client)
  const mapped = Object.keys(settings.realms)
  if (mapped.length === 0) return found.ok('realms', `every realm belongs to ${settings.directories[0]?.name ?? ''}`)
  const unknown = mapped.filter((realm) => !there.includes(realm))
  const open = there.filter((realm) => !mapped.includes(realm))
  for (const realm of unknown) {
    found.fail('realms', {
      what: `privacyIDEA has no realm ${realm}`,
      why: 'It is mapped to a directory and nothing will ever come from it: perhaps it is misspelt.',
      fix: `Correct realms in ${settings.file}: privacyIDEA has ${there.join(', ') || 'none'}.`,
    })
  }
  for (const realm of open) {
    found.warn('realms', {
      what: `the realm ${realm} belongs to no directory`,
      why: 'Events of its users wait, and none of its accounts is ever locked.',
      fix: `Add it to realms in ${settings.file}, as in realms: { ${realm}: ${settings.directories[0]?.name ?? 'corp'} }.`,
    })
  }
  if (unknown.length + open.length === 0) found.ok('realms', `realms: ${mapped.join(', ')}`)
}

/** As the administrator where one is given, else as the service itself, which usually may not read these. */
async function withAdmin(
  source: SourceSettings,
  how: SourceDiagnosis,
  service: Client,
  look: (client: Client, isService: boolean) => Promise<void>,
): Promise<void> {
  const { admin } = how
  if (admin === null) return look(service, true)
  const login = { kind: 'password', user: admin.user, realm: null, password: { env: '' } } as const
  await using client = new Client({ ...source, login }, () => admin.password, systemClock)
  await look(client, false)
}

async function checkResolvers(found: Findings, client: Client, settings: Settings, isService: boolean): Promise<void> {
  const attributes = settings.directories.flatMap((directory) => [
    ...driverOf(directory).lockAttributes,
    ...directory.lock.map((each) => each.attribute),
  ])
  try {
    const resolvers = await readLdapResolvers(client)
    const before = found.all.length
    for (const { name, searchFilter } of resolvers) {
      const hidden = lockAttributesIn(searchFilter, [...new Set(attributes)])
      if (hidden.length === 0) continue
      found.warn('resolver-filter', {
        what: `the search filter of resolver ${name} looks at ${hidden.join(', ')}: ${searchFilter}`,
        why: 'A locked account then drops out of it: privacyIDEA loses the owner of their tokens, and no event names them.',
        fix: `Take ${hidden.join(', ')} out of the search filter of ${name} (Config, Users).`,
      })
    }
    if (found.all.length === before) found.ok('resolver-filter', 'no search filter would lose a locked account')
  } catch (thrown) {
    if (!isService || toAppError(thrown).code !== 'source-not-permitted') throw thrown
    found.skip('resolver-filter', {
      what: 'search filters of resolvers: not looked at, since the service may not see them',
      why: 'A filter by a lock makes privacyIDEA lose the owners of locked accounts.',
      fix: ASK_AN_ADMIN,
    })
  }
}
