import { counted } from '../../../core/format/counted.ts'
import { span } from '../../../core/format/duration.ts'
import { toAppError, type AppError } from '../../../core/error.ts'
import { parseLogin } from '../../../core/names.ts'
import type { DirectorySettings } from '../../../core/settings/settings.ts'
import { openProbe, type DirectoryProbe } from '../../../directory/probe/probe.ts'
import { namingContextOf, type ServerFacts } from '../../../directory/pool/server-facts.ts'
import { namedSwap } from '../../../directory/pool/swapped-port.ts'
import { systemClock } from '../../../ports/clock.ts'
import { probeAccount, SEE_SERVER_LOG, type Place, type ProbeAccount, type Trial } from './account.ts'
import { checkPolicy, reportUnread } from './openldap.ts'
import { checksOf } from './type-checks.ts'
import { checkReplicas } from './replicas.ts'
import { Findings, troubleOf } from '../findings.ts'
import { adviceOf } from '../../advice/directory-advice.ts'

/** Checks of `lockstep doctor` at one directory; each step only where the one before it succeeded. */

/** A search without a result that takes longer than this has no index to use. */
const UNINDEXED_MS = 200
const TRY_PROBE = 'lockstep doctor --probe LOGIN, with a test account; it is left as it was'

/** @returns the result of a trial lock, where one was tried */
export async function directoryFindings(
  settings: DirectorySettings,
  account: ProbeAccount | null,
): Promise<{ findings: Findings; trial: Trial | null }> {
  const findings = new Findings(`directory ${settings.name}`)
  let trial: Trial | null = null
  try {
    const urls = await checkServers(findings, settings)
    if (urls.length > 0) trial = await lookInside(findings, { ...settings, urls }, account)
    else skipInside(findings, 'no server answers')
    await checkReplicas(findings, settings, urls.slice(1))
  } catch (error) {
    failWith(findings, 'directory', toAppError(error))
  }
  return { findings, trial }
}

/** Connects, secures and binds at every URL. @returns the usable ones */
async function checkServers(found: Findings, settings: DirectorySettings): Promise<string[]> {
  await using probe = openProbe(settings, systemClock)
  const servers = await probe.servers()
  for (const { url, security, error } of servers) {
    const how = { tls: 'TLS', 'start-tls': 'StartTLS', plain: 'not encrypted' }[security]
    if (error === null) found.ok('bind', `${url}: bound as ${settings.bindDn} (${how})`)
    else failWith(found, 'bind', await namedSwap(error, url, settings))
  }
  return servers.filter((server) => server.error === null).map((server) => server.url)
}

/** What is looked at, and where it is put down. */
interface Look {
  readonly found: Findings
  readonly probe: DirectoryProbe
  readonly settings: DirectorySettings
  /** The naming context of the base. */
  readonly context: string
}

async function lookInside(
  found: Findings,
  settings: DirectorySettings,
  account: ProbeAccount | null,
): Promise<Trial | null> {
  await using probe = openProbe(settings, systemClock)
  const facts = await probe.facts()
  const context = namingContextOf(facts, settings.base) ?? settings.base
  const look: Look = { found, probe, settings, context }
  if (!(await checkBase(look, facts))) {
    skipInside(found, 'the base is not seen')
    return null
  }
  await checkSchema(look)
  const checks = checksOf(settings.type)
  const policies = await checks.readPolicies(probe)
  if (policies !== null) checkPolicy(found, policies, facts, context)
  await checkFilter(look)
  await checkIndexes(look)
  const isCut = await checkSearchLimit(look)
  await checkOwnAccount(look)
  await checkProtected(look)
  const { hasReadRights, trustee } = await checks.checkRights(found, probe, { settings, context, isCut })
  const place: Place = { settings, context, ...(trustee === null ? {} : { trustee }) }
  const trial = account === null ? null : await probeAccount(found, probe, account, place)
  if (account === null && hasReadRights) {
    found.skip('probe-found', {
      what: 'a lock and a serial on a test account: not tried',
      why: 'Only a trial shows that the server does what its rights allow.',
      fix: TRY_PROBE,
    })
  }
  if (account === null && !hasReadRights) {
    found.warn('write-rights', {
      what: 'whether the lock and the serial may be written was not tried',
      why: 'A missing right would show at the first lock.',
      fix: TRY_PROBE,
    })
  }
  if (policies !== null) reportUnread(found, policies, facts, trial, place)
  return trial
}

function skipInside(found: Findings, since: string): void {
  found.skip('not-reached', {
    what: `schema, filter, rights, policies and limits: not looked at, since ${since}`,
    why: 'What else a lock needs is not known.',
    fix: 'Mend what failed before, then: lockstep doctor',
  })
}

const WHY: Readonly<Partial<Record<AppError['code'], string>>> = {
  'directory-unreachable': 'While no server answers, events wait and nobody is locked or unlocked.',
  'directory-timeout': 'While no server answers, events wait and nobody is locked or unlocked.',
  'directory-tls': 'Lockstep does not send its password over a connection that it cannot trust.',
  'directory-bind-refused': 'Without a bind it may neither search nor write.',
  'directory-identity-lost': 'An answer to somebody unknown proves nothing, so it is not trusted.',
}

function failWith(found: Findings, check: string, error: AppError): void {
  const why = WHY[error.code] ?? 'Without this no account can be locked or unlocked.'
  found.fail(check, troubleOf(error, why, SEE_SERVER_LOG))
}

async function checkBase({ found, probe, settings, context }: Look, facts: ServerFacts): Promise<boolean> {
  const { base, bindDn, name } = settings
  if (await probe.hasBase()) {
    found.ok('base', `the base ${base} is there (${facts.vendor || 'LDAP server'})`)
    return true
  }
  const contexts = facts.namingContexts.join(', ') || 'none that it reports'
  const right = adviceOf(settings.type).readRight(settings, context)
  found.fail('base', {
    what: `${bindDn} sees no entry ${base}`,
    why: 'Accounts are searched for below it, so none would be found.',
    fix: `Correct directories.${name}.base (naming contexts of the server: ${contexts}), or give the right to read:\n${right}`,
    code: 'entry-not-found',
  })
  return false
}

async function checkSchema({ found, probe, settings }: Look): Promise<void> {
  for (const { key, attribute, isKnown, isSingleValued } of await probe.attributes()) {
    if (isKnown === false && (key !== 'lock' || checksOf(settings.type).isLockInSchema)) {
      found.fail('schema', {
        what: `the server has no attribute ${attribute}`,
        why: 'It can be neither searched for nor written.',
        fix: `Correct ${key === 'lock' ? 'type' : key} in directories.${settings.name}, or load its schema into the server.`,
      })
    } else if (key === 'serialAttribute') {
      const how = isSingleValued ? 'one value, serials are kept as words in it' : 'a value for each serial'
      found.ok('schema', `serials go to ${attribute} (${how})`)
    }
  }
}

/** With any login the filter should find an account, and usually several. */
async function checkFilter({ found, settings, context }: Look): Promise<void> {
  const { userFilter, base, bindDn, name } = settings
  const anybody = userFilter.replaceAll('{login}', '*').replaceAll('{realm}', '*')
  await using probe = openProbe({ ...settings, userFilter: anybody }, systemClock)
  const login = parseLogin('anybody')
  if (login === null) return
  const failure = await probe.login(login, null).then(() => null, toAppError)
  if (failure === null || failure.code === 'ambiguous-match') {
    found.ok('user-filter', `${userFilter} finds accounts below ${base}`)
    return
  }
  if (failure.code !== 'unknown-user') throw failure
  found.fail('user-filter', {
    what: `${userFilter} finds nobody below ${base}, whatever the login`,
    why: 'No event could be brought to its account.',
    fix: `Correct userFilter or base of directories.${name}, or give ${bindDn} the right to read:\n${adviceOf(settings.type).readRight(settings, context)}`,
  })
}

/** @returns whether the server cuts searches short */
async function checkSearchLimit({ found, probe, settings, context }: Look): Promise<boolean> {
  const { asked, returned, cut } = await probe.searchLimit()
  if (cut === null) {
    const all =
      returned < asked
        ? `all ${counted(returned, 'entry of a search', 'entries of a search')} came`
        : `a search returned ${counted(returned, 'entry', 'entries')}`
    found.ok('search-limit', `${all}: it was not cut short`)
    return false
  }
  found.fail('search-limit', {
    what: `the server cut a search for ${counted(asked, 'entry', 'entries')} short after ${returned}: ${cut.message}`,
    why: 'Nothing is concluded from a part: the full resync and rebuild go over all accounts with a serial or a lock, search in parts then, and leave the directory out where a part is too large.',
    fix: adviceOf(settings.type).searchLimit(settings, context),
    code: cut.code,
  })
  return true
}

async function checkProtected({ found, probe }: Look): Promise<void> {
  const { count, unread } = await probe.protectedGroups()
  if (unread !== null) {
    const why = 'While it cannot be determined who is protected, nobody of this directory is locked.'
    found.fail('protected-groups', troubleOf(unread, why, ''))
  } else if (count > 0) found.ok('protected-groups', `the protected groups can be read (${count})`)
}

/** It is never locked, so its entry has to be known. */
async function checkOwnAccount({ found, probe, settings: { bindDn } }: Look): Promise<void> {
  const own = await probe.ownAccount()
  if (own === null) return
  if (own.unread === null) {
    found.ok('bind-account', `${bindDn} is ${own.dns.join(' and ')}, which is never locked`)
    return
  }
  const why = 'Until its entry is found, nobody of this directory is locked: the account could lock itself out.'
  found.fail('bind-account', troubleOf(own.unread, why, ''))
}

/** Accounts are found by id, login and serial. */
async function checkIndexes({ found, probe, settings, context }: Look): Promise<void> {
  const probes = await probe.indexes()
  const slow = probes.filter(({ hasIndex, tookMs }) => hasIndex === false || tookMs >= UNINDEXED_MS)
  for (const { attribute, hasIndex, tookMs } of slow) {
    const how = hasIndex === false ? 'has no index' : `took ${span(Math.round(tookMs))} for a search that finds nothing`
    found.warn('index', {
      what: `${attribute} ${how}`,
      why: 'Accounts are searched for by it all the time; without an index the server reads every one.',
      fix: adviceOf(settings.type).index(settings, attribute, context),
    })
  }
  const names = probes.map((each) => each.attribute).join(', ')
  if (slow.length === 0) found.ok('index', `searches by ${names} are quick`)
}
