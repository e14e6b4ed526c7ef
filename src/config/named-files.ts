import { readFileSync, statSync, type Stats } from 'node:fs'
import { dirname } from 'node:path'
import { caTrouble } from '../core/settings/ca-file.ts'
import { toAppError } from '../core/error.ts'
import type { SecretSource } from '../core/settings/secret-source.ts'
import type { Settings } from '../core/settings/settings.ts'
import { errnoOf } from '../core/system-error.ts'
import type { Problem } from './problem.ts'
import { readSecret } from './secret.ts'
import { octal } from '../core/format/octal.ts'

/** The files of secrets and certificates that the settings name: whether they exist, are usable and safe. */

export interface NamedFile {
  readonly kind: 'secret' | 'certificates'
  /** As in `directories.corp.bindPasswordFile`. */
  readonly key: string
  readonly source: SecretSource
}

/** What is wrong with a file that the settings name, and what to do. */
export interface FileTrouble {
  readonly severity: Problem['severity']
  readonly key: string
  readonly what: string
  readonly fix: string
  /** The file is not there, or not yet. */
  readonly isMissing: boolean
}

type Environment = Readonly<Record<string, string | undefined>>

/** Bits of a mode that let others than the owner read or write. */
const OTHERS_READ_WRITE = 0o066
const GROUP_READ = 0o040
const EVERYBODY = 0o006

/** In the order of the sections; secrets that come from the environment as well. */
export function namedFiles(settings: Settings): readonly NamedFile[] {
  const { privacyidea: source, mail } = settings
  const http = settings.intake.http
  const login = source?.login
  const smtpLogin = mail?.smtp.login ?? null
  return [
    ...(login === undefined
      ? []
      : login.kind === 'password'
        ? [secret('privacyidea.password', login.password)]
        : [secret('privacyidea.token', login.token)]),
    ...certificates('privacyidea.ca', source?.caFile ?? null),
    ...settings.directories.flatMap(({ name, bindPassword, caFile }) => [
      secret(`directories.${name}.bindPassword`, bindPassword),
      ...certificates(`directories.${name}.ca`, caFile),
    ]),
    ...(http === null ? [] : [secret('intake.http.hookSecret', http.hookSecret)]),
    ...(smtpLogin === null ? [] : [secret('mail.password', smtpLogin.password)]),
    ...certificates('mail.ca', mail?.smtp.caFile ?? null),
  ]
}

/** @param stem the key without `File` or `Env` */
function secret(stem: string, source: SecretSource): NamedFile {
  return { kind: 'secret', key: 'file' in source ? `${stem}File` : `${stem}Env`, source }
}

function certificates(key: string, file: string | null): NamedFile[] {
  return file === null ? [] : [{ kind: 'certificates', key, source: { file } }]
}

export function fileTroubles(settings: Settings, env: Environment): FileTrouble[] {
  const groups = serviceGroups(settings)
  return namedFiles(settings).flatMap((named) => {
    if (named.kind === 'secret') return secretTroubles(named, env, groups)
    return 'file' in named.source ? certificateTroubles(named.key, named.source.file) : []
  })
}

/** The accepted modes, for people: the rules that `fileTroubles` applies. */
export const SECRET_MODES =
  '0600 or 0400, owned by the user that Lockstep runs as; 0440 or 0640 with the group of the service is as good (mounted secrets)'

/** The groups of the service: that of the store's folder, unless it is root's, and those of this process. */
function serviceGroups({ store }: Settings): ReadonlySet<number> {
  const own = process.getuid?.() === 0 ? [] : [process.getegid?.() ?? -1, ...(process.getgroups?.() ?? [])]
  try {
    const folder = statSync(dirname(store.file), { throwIfNoEntry: false })
    return new Set(folder === undefined || folder.gid === 0 ? own : [...own, folder.gid])
  } catch {
    return new Set(own)
  }
}

function secretTroubles({ key, source }: NamedFile, env: Environment, groups: ReadonlySet<number>): FileTrouble[] {
  try {
    readSecret(source, env)
  } catch (error) {
    const { message, hint, cause } = toAppError(error)
    return [{ severity: 'error', key, what: message, fix: hint, isMissing: errnoOf(cause) === 'ENOENT' }]
  }
  if (!('file' in source)) return []
  const { mode, gid } = statSync(source.file)
  const open = mode & OTHERS_READ_WRITE
  if (open === 0 || (open === GROUP_READ && groups.has(gid))) return []
  const what = `others may read or write ${source.file} (mode ${octal(mode & 0o777)})`
  const fix = `chmod 600 ${source.file}`
  return [{ severity: (mode & EVERYBODY) === 0 ? 'warning' : 'error', key, what, fix, isMissing: false }]
}

function certificateTroubles(key: string, file: string): FileTrouble[] {
  let info: Stats | undefined
  try {
    info = statSync(file, { throwIfNoEntry: false })
  } catch (error) {
    const { message, hint } = toAppError(error)
    return [{ severity: 'error', key, what: message, fix: hint, isMissing: false }]
  }
  if (info?.isFile() === true) return contentTroubles(key, file)
  const what = info === undefined ? `the file ${file} does not exist` : `${file} is no file`
  const fix = 'Put the certificate of the certification authority there, as PEM.'
  return [{ severity: 'error', key, what, fix, isMissing: info === undefined }]
}

/** A file that may not be read here is tried when it is needed: another user may run this check. */
function contentTroubles(key: string, file: string): FileTrouble[] {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(file)
  } catch {
    return []
  }
  const trouble = caTrouble(bytes, file)
  return trouble === null ? [] : [{ severity: 'error', key, ...trouble, isMissing: false }]
}
