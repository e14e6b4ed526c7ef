import { dirname, join, resolve } from 'node:path'
import { asBindName } from '../core/settings/bind-name.ts'
import { asDn, type DirectoryName } from '../core/names.ts'
import { TYPE_DEFAULTS } from '../core/settings/directory-type.ts'
import { AppError } from '../core/error.ts'
import type { SecretSource } from '../core/settings/secret-source.ts'
import type {
  DirectorySettings,
  LockAssignment,
  Settings,
  SourceLogin,
  SourceSettings,
} from '../core/settings/settings.ts'
import { buildBackoff, buildGuards, buildProtect } from './build-guards.ts'
import { directoryName } from './directory-name.ts'
import { flatKeys } from './flat-keys.ts'
import type { ConfigFile, DirectoryFile, MailFile, PrivacyIdeaFile } from './keys/schema.ts'
import type { MailSettings } from '../core/settings/mail-settings.ts'

/** Makes Settings from a file that passed every check. Paths become absolute, relative to the folder of the file. */
export function buildSettings(parsed: ConfigFile, file: string): Settings {
  const absolute = (path: string): string => resolve(dirname(file), path)
  const { policy, guards, retention } = parsed
  return {
    file,
    keys: flatKeys(parsed),
    privacyidea: parsed.privacyidea === null ? null : buildSource(parsed.privacyidea, absolute),
    directories: Object.entries(parsed.directories).map(([name, each]) => buildDirectory(name, each, parsed, absolute)),
    realms: buildRealms(parsed.realms),
    policy: {
      onForeignUnlock: policy.onForeignUnlock,
      lockWhen: policy.lockWhen,
      disabledTokens: policy.disabledTokens,
      revokedTokens: policy.revokedTokens,
      mirrorDirectoryLocks: policy.mirrorDirectoryLocks,
      lockTtlMs: policy.lockTtl,
      lockBackoff: buildBackoff(policy.lockBackoff),
      resetsTokenOnTtl: policy.resetTokenOnTtl,
    },
    guards: buildGuards(guards),
    intake: { spool: absolute(parsed.intake.spool), http: buildHttp(parsed, absolute) },
    resync: { scanMs: parsed.resync.scan, fullMs: parsed.resync.full, shrinkLimit: parsed.resync.shrinkLimit },
    store: { kind: 'sqlite', file: absolute(parsed.store) },
    ldif: { dir: absolute(parsed.ldif.dir) },
    log: parsed.log,
    health: {
      file: parsed.health.file === undefined ? usualHealthFile(absolute(parsed.store)) : absolute(parsed.health.file),
    },
    recipes: { dir: absolute(parsed.recipes.dir) },
    retention: {
      eventsMs: retention.events,
      journalMs: retention.journal,
      journalRecordsMax: retention.journalRecords,
      historyMs: retention.history,
    },
    mail: parsed.mail === null ? null : buildMail(parsed.mail, absolute),
  }
}

const SYSTEM_STATE = '/var/lib/lockstep'
/** RuntimeDirectory of the unit. */
export const systemHealthFile = '/run/lockstep/health'

/** @param store the database, as an absolute path */
export function usualHealthFile(store: string): string {
  return dirname(store) === SYSTEM_STATE ? systemHealthFile : join(dirname(store), 'health')
}

type Absolute = (path: string) => string

function buildSource(from: PrivacyIdeaFile, absolute: Absolute): SourceSettings {
  return {
    url: from.url,
    login: buildLogin(from, absolute),
    caFile: from.ca === null ? null : absolute(from.ca),
    connectTimeoutMs: from.connectTimeout,
    timeoutMs: from.timeout,
    connectionsMax: from.connectionsMax,
    pageSize: from.pageSize,
    knownToken: from.knownToken ?? null,
  }
}

function buildLogin(from: PrivacyIdeaFile, absolute: Absolute): SourceLogin {
  const { user, realm, passwordFile, passwordEnv } = from
  if (user === undefined) {
    return { kind: 'token', token: secret(from.tokenFile ?? from.apiKeyFile, from.tokenEnv, absolute) }
  }
  return { kind: 'password', user, realm: realm ?? null, password: secret(passwordFile, passwordEnv, absolute) }
}

function buildDirectory(name: string, from: DirectoryFile, parsed: ConfigFile, absolute: Absolute): DirectorySettings {
  const usual = TYPE_DEFAULTS[from.type]
  return {
    name: directoryName(name),
    type: from.type,
    urls: from.urls,
    startTls: from.startTls,
    bindDn: asBindName(from.bindDn),
    bindPassword: secret(from.bindPasswordFile, from.bindPasswordEnv, absolute),
    caFile: from.ca === null ? null : absolute(from.ca),
    tlsServerName: from.tlsServerName,
    base: asDn(from.base),
    userFilter: from.userFilter ?? usual.userFilter,
    loginAttribute: from.loginAttribute ?? loginAttributeOf(from.userFilter ?? '') ?? usual.loginAttribute,
    idAttribute: from.idAttribute ?? usual.idAttribute,
    serialAttribute: from.serialAttribute ?? usual.serialAttribute,
    serialFormat: from.serialFormat,
    connectTimeoutMs: from.connectTimeout,
    operationTimeoutMs: from.operationTimeout,
    connectionsMax: from.connectionsMax,
    inFlightMax: from.inFlightMax,
    lock: (from.lock ?? []).flatMap(buildLockStep),
    clearLockout: parsed.policy.clearLockout,
    protect: buildProtect(parsed, name, from),
  }
}

/** The attribute that the filter compares with `{login}`; null: the filter compares none with the login alone. */
function loginAttributeOf(userFilter: string): string | null {
  return /\(([A-Za-z][A-Za-z0-9-]*)=\{login\}\)/.exec(userFilter)?.[1] ?? null
}

type LockStep = NonNullable<DirectoryFile['lock']>[number]

function buildLockStep(step: LockStep): LockAssignment[] {
  const dn = step.dn === undefined ? null : asDn(step.dn)
  return (['set', 'add', 'remove'] as const).flatMap((op) =>
    Object.entries(step[op] ?? {}).map(([attribute, each]) => ({ dn, op, attribute, values: each })),
  )
}

function buildRealms(realms: ConfigFile['realms']): Settings['realms'] {
  const result: Record<string, readonly DirectoryName[]> = {}
  for (const [realm, names] of Object.entries(realms)) result[realm.toLowerCase()] = names.map(directoryName)
  return result
}

function buildHttp(parsed: ConfigFile, absolute: Absolute): Settings['intake']['http'] {
  const { http } = parsed.intake
  if (http === null) return null
  return {
    host: http.listen.host,
    port: http.listen.port,
    hookSecret: secret(http.hookSecretFile, http.hookSecretEnv, absolute),
    allow: http.allow,
    bodyBytesMax: http.bodyLimit,
    requestsPerSecondMax: http.rateLimit,
  }
}

function buildMail(from: MailFile, absolute: Absolute): MailSettings {
  const { owner, helpDesk, limits, user } = from
  return {
    smtp: {
      ...from.smtp,
      startTls: from.startTls,
      caFile: from.ca === null ? null : absolute(from.ca),
      tlsServerName: from.tlsServerName,
      login: user === undefined ? null : { user, password: secret(from.passwordFile, from.passwordEnv, absolute) },
      ehloName: from.ehloName ?? null,
      connectTimeoutMs: from.connectTimeout,
      timeoutMs: from.timeout,
    },
    from: from.from,
    replyTo: from.replyTo,
    owner,
    helpDesk: { ...helpDesk, language: helpDesk.language ?? from.language },
    language: from.language,
    timeZone: from.timeZone,
    contact: from.contact ?? '',
    templates: from.templates === null ? null : absolute(from.templates),
    limits: {
      gatherMs: limits.gather,
      intervalMs: limits.interval,
      maxAgeMs: limits.maxAge,
      unresolvedAfterMs: limits.unresolvedAfter,
      perSecond: limits.perSecond,
    },
  }
}

function secret(file: string | undefined, env: string | undefined, absolute: Absolute): SecretSource {
  if (file !== undefined) return { file: absolute(file) }
  if (env !== undefined) return { env }
  throw new AppError('internal', 'a secret without a source passed the checks')
}
