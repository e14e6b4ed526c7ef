import { PresenceFilter } from 'ldapts'
import { toAppError, type AppError } from '../core/error.ts'
import type { DirectorySettings } from '../core/settings.ts'
import { Connection } from '../directory/connection.ts'
import { compileFilter } from '../directory/filter.ts'
import { LdapDirectory } from '../directory/ldap-directory.ts'
import type { PolicyView } from '../directory/password-policy.ts'
import { namingContextOf, type ServerFacts } from '../directory/server-facts.ts'
import { serverOf } from '../directory/socket.ts'
import { systemClock } from '../ports/clock.ts'
import { probeAccount, type ProbeAccount } from './doctor-account.ts'
import { Findings, type Finding } from './finding.ts'
import { defaultPolicyFix, indexFix, lockoutFix, moduleFix, overlayFix, readRightFix } from './openldap-fix.ts'

/** What `lockstep doctor` tries at one directory; each step only where the one before it succeeded. */

/** A search by serial that takes longer than this, over all accounts, has no index to use. */
const UNINDEXED_MS = 200
const NOBODY = 'lockstep-doctor-no-such-serial'

export async function directoryFindings(
  settings: DirectorySettings,
  account: ProbeAccount | null,
): Promise<readonly Finding[]> {
  const found = new Findings(`directory ${settings.name}`)
  if (!(await checkServers(found, settings))) return found.all
  await using directory = new LdapDirectory(settings, systemClock)
  try {
    const facts = await directory.facts.read()
    const context = namingContextOf(facts, settings.base) ?? settings.base
    if (!(await checkBase(found, directory, facts, context))) return found.all
    checkSchema(found, settings, facts, context)
    if (settings.type === 'openldap') checkPolicy(found, await directory.policies.read(facts), facts, context)
    await checkFilter(found, directory, context)
    await checkIndex(found, directory, context)
    if (account !== null) await probeAccount(found, directory, account, context)
    else {
      found.warn('write-rights', {
        what: 'whether the lock and the serial may be written was not tried',
        why: 'A missing right would show at the first lock.',
        fix: 'lockstep doctor --probe LOGIN, with a test account; it is left as it was',
      })
    }
  } catch (error) {
    failWith(found, 'directory', toAppError(error))
  }
  return found.all
}

/** Connects, secures and binds at every URL. True when one of them can be worked with. */
async function checkServers(found: Findings, settings: DirectorySettings): Promise<boolean> {
  let good = 0
  for (const url of settings.urls) {
    try {
      const server = serverOf(url, settings)
      const connection = await Connection.open(server, settings)
      await connection.close()
      good += 1
      const how = { tls: 'TLS', 'start-tls': 'StartTLS', plain: 'not encrypted' }[server.security]
      found.ok('bind', `${url}: bound as ${settings.bindDn} (${how})`)
    } catch (error) {
      failWith(found, 'bind', toAppError(error))
    }
  }
  return good > 0
}

const WHY: Readonly<Partial<Record<AppError['code'], string>>> = {
  'directory-unreachable': 'While no server answers, events wait and nobody is locked or unlocked.',
  'directory-timeout': 'While no server answers, events wait and nobody is locked or unlocked.',
  'directory-tls': 'Lockstep does not send its password over a connection that it cannot trust.',
  'directory-bind-refused': 'Without a bind it may neither search nor write.',
  'directory-identity-lost': 'An answer to somebody unknown proves nothing, so it is not believed.',
}

function failWith(found: Findings, check: string, error: AppError): void {
  const why = WHY[error.code] ?? 'Without this no account can be locked or unlocked.'
  found.fail(check, {
    what: error.message,
    why,
    fix: error.hint || 'See the log of the directory server.',
    code: error.code,
  })
}

async function checkBase(
  found: Findings,
  directory: LdapDirectory,
  facts: ServerFacts,
  context: string,
): Promise<boolean> {
  const { base, bindDn } = directory.settings
  const request = {
    base,
    scope: 'base' as const,
    filter: new PresenceFilter({ attribute: 'objectClass' }),
    attributes: ['1.1'],
    bytesOf: [],
    sizeMax: 1,
  }
  const entries = await directory.pool
    .read((connection) => connection.search(request))
    .catch((error: unknown) => {
      if (toAppError(error).code === 'entry-not-found') return []
      throw error
    })
  if (entries.length > 0) {
    found.ok('base', `the base ${base} is there (${facts.vendor || 'LDAP server'})`)
    return true
  }
  const contexts = facts.namingContexts.join(', ') || 'none that it tells'
  found.fail('base', {
    what: `${bindDn} sees no entry ${base}`,
    why: 'Accounts are searched for below it, so none would be found.',
    fix: `Correct directories.${directory.settings.name}.base (naming contexts of the server: ${contexts}), or give the right to read:\n${readRightFix(directory.settings, context)}`,
    code: 'entry-not-found',
  })
  return false
}

function checkSchema(found: Findings, settings: DirectorySettings, facts: ServerFacts, context: string): void {
  const own = settings.lock.map((assignment) => assignment.attribute)
  const missing = [settings.idAttribute, settings.serialAttribute, settings.loginAttribute, ...own].filter(
    (name) => facts.isKnown(name) === false,
  )
  for (const name of new Set(missing)) {
    found.fail('schema', {
      what: `the server knows no attribute ${name}`,
      why: 'It can be neither searched for nor written.',
      fix: `Correct the name in directories.${settings.name}, or load its schema into the server.`,
    })
  }
  const { serialAttribute } = settings
  if (missing.includes(serialAttribute)) return
  const how = facts.isSingleValued(serialAttribute)
    ? 'one value, serials are kept as words in it'
    : 'a value for each serial'
  found.ok('schema', `serials go to ${serialAttribute} (${how}) below ${context}`)
}

function checkPolicy(found: Findings, view: PolicyView, facts: ServerFacts, context: string): void {
  const why = 'A lock can be written and keeps nobody out.'
  if (facts.hasPasswordPolicy === false) {
    found.fail('ppolicy-overlay', {
      what: 'the password policy overlay is not active on the server',
      why: `${why} Without its module it cannot even be written.`,
      fix: moduleFix(context),
    })
    return
  }
  const { fallback, policies } = view
  if (fallback.kind === 'no-overlay') {
    found.fail('ppolicy-overlay', {
      what: `the password policy overlay is not active on the database of ${context}`,
      why,
      fix: overlayFix(context),
    })
    return
  }
  if (fallback.kind === 'known' && fallback.dn === null) {
    found.fail('default-policy', {
      what: 'the password policy overlay names no default policy',
      why: `${why} Only accounts with a pwdPolicySubentry of their own would be locked.`,
      fix: defaultPolicyFix(context),
    })
    return
  }
  const off = [...policies].filter(([, policy]) => !policy.lockout)
  for (const [normalDn, policy] of off) {
    const trouble = {
      what: `the policy ${policy.dn} has no pwdLockout: TRUE`,
      why: `${why} This holds for every account under this policy.`,
      fix: lockoutFix(policy.dn, context),
    }
    if (off.length === policies.size || (fallback.kind === 'known' && fallback.dn === normalDn))
      found.fail('pwd-lockout', trouble)
    else found.warn('pwd-lockout', trouble)
  }
  if (policies.size === 0) {
    found.warn('default-policy', {
      what: `no password policy can be seen below ${context}`,
      why: `${why} Where there is none, or where it may not be read, this cannot be told from here.`,
      fix: `Try it: LOCKSTEP_PROBE_PASSWORD=… lockstep doctor --probe LOGIN. A missing policy:\n${defaultPolicyFix(context)}`,
    })
  } else if (off.length === 0)
    found.ok(
      'pwd-lockout',
      `password policy: ${[...policies.values()].map((policy) => policy.dn).join(', ')} (pwdLockout: TRUE)`,
    )
}

/** With any login the filter should find somebody. */
async function checkFilter(found: Findings, directory: LdapDirectory, context: string): Promise<void> {
  const { settings } = directory
  const anybody = settings.userFilter.replaceAll('{login}', '*').replaceAll('{realm}', '*')
  const filter = compileFilter(anybody, `directories.${settings.name}.userFilter`)({})
  const request = { base: settings.base, scope: 'sub' as const, filter, attributes: ['1.1'], bytesOf: [], sizeMax: 1 }
  const entries = await directory.pool
    .read((connection) => connection.search(request))
    .catch((error: unknown) => {
      // The server stops at the first one and says that there are more (RFC 4511, sizeLimitExceeded).
      if (/LDAP 4\b/.test(toAppError(error).message)) return [null]
      throw error
    })
  if (entries.length > 0) {
    found.ok('user-filter', `${settings.userFilter} finds accounts below ${settings.base}`)
    return
  }
  found.fail('user-filter', {
    what: `${settings.userFilter} finds nobody below ${settings.base}, whatever the login`,
    why: 'No event could be brought to its account.',
    fix: `Correct userFilter or base of directories.${settings.name}, or give ${settings.bindDn} the right to read:\n${readRightFix(settings, context)}`,
  })
}

/** Accounts are found by serial as well; the time of a search that finds nothing tells whether there is an index. */
async function checkIndex(found: Findings, directory: LdapDirectory, context: string): Promise<void> {
  const { serialAttribute, base } = directory.settings
  const filter = compileFilter(
    '({attribute}={value})'.replace('{attribute}', serialAttribute).replace('{value}', NOBODY),
    'the index check',
  )({})
  const request = { base, scope: 'sub' as const, filter, attributes: ['1.1'], bytesOf: [], sizeMax: 1 }
  const startedMs = performance.now()
  await directory.pool.read((connection) => connection.search(request))
  const tookMs = Math.round(performance.now() - startedMs)
  if (tookMs < UNINDEXED_MS) return found.ok('index', `a search by ${serialAttribute} took ${tookMs} ms`)
  found.warn('index', {
    what: `a search by ${serialAttribute} took ${tookMs} ms`,
    why: 'Each unlock without a user is such a search; without an index it reads every account.',
    fix: indexFix(serialAttribute, context),
  })
}
