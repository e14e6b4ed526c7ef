import { statSync } from 'node:fs'
import { AppError } from '../core/error.ts'
import type { SecretSource, Settings } from '../core/settings.ts'
import { findConfig, loadConfig, type ConfigLookup } from './load.ts'
import { ConfigError, type Problem } from './problem.ts'
import { readSecret } from './secret.ts'

/** Bits of a mode that let anybody but the owner read or write. */
const OTHERS_READ_WRITE = 0o066
const OTHERS_WRITE = 0o022

export interface CheckResult {
  /** Absolute. */
  readonly file: string
  /** In the order of the file; empty when all is well. */
  readonly problems: readonly Problem[]
}

/**
 * Everything that can be said of the configuration without talking to a server: its keys, and whether the files that it
 * names are there and safe. Throws only where there is no file to look at.
 */
export function checkConfig(lookup: ConfigLookup): CheckResult {
  const file = findConfig(lookup)
  try {
    const { settings, warnings } = loadConfig({ ...lookup, flag: file })
    return { file, problems: [...warnings, ...configFileProblems(file), ...fileProblems(settings, lookup.env)] }
  } catch (error) {
    if (error instanceof ConfigError) return { file, problems: error.problems }
    throw error
  }
}

function configFileProblems(file: string): Problem[] {
  const mode = statSync(file).mode & 0o777
  if ((mode & OTHERS_WRITE) === 0) return []
  return [problem('warning', '', `others may write this file (mode ${octal(mode)}). Fix: chmod go-w ${file}`)]
}

function fileProblems(settings: Settings, env: ConfigLookup['env']): Problem[] {
  return fileTroubles(settings, env).map(({ severity, key, what, fix }) =>
    problem(severity, key, `${what}. Fix: ${fix}`),
  )
}

/** What is wrong with a file that the settings name, and what to do. */
export interface FileTrouble {
  readonly severity: Problem['severity']
  readonly key: string
  readonly what: string
  readonly fix: string
}

/** The files of secrets and certificates that the settings name. */
export function fileTroubles(settings: Settings, env: ConfigLookup['env']): FileTrouble[] {
  const found: FileTrouble[] = []
  const source = settings.privacyidea
  if (source !== null) {
    const { login, caFile } = source
    if (login.kind === 'password') found.push(...secretTroubles('privacyidea.password', login.password, env))
    else found.push(...secretTroubles('privacyidea.token', login.token, env))
    if (caFile !== null) found.push(...certificateTroubles('privacyidea.ca', caFile))
  }
  for (const directory of settings.directories) {
    const key = `directories.${directory.name}`
    found.push(...secretTroubles(`${key}.bindPassword`, directory.bindPassword, env))
    if (directory.caFile !== null) found.push(...certificateTroubles(`${key}.ca`, directory.caFile))
  }
  const http = settings.intake.http
  if (http !== null) found.push(...secretTroubles('intake.http.hookSecret', http.hookSecret, env))
  found.push(...mailTroubles(settings, env))
  return found
}

function mailTroubles({ mail }: Settings, env: ConfigLookup['env']): FileTrouble[] {
  if (mail === null) return []
  const { login, caFile } = mail.smtp
  return [
    ...(login === null ? [] : secretTroubles('mail.password', login.password, env)),
    ...(caFile === null ? [] : certificateTroubles('mail.ca', caFile)),
  ]
}

/** @param stem the key without `File` or `Env` */
function secretTroubles(stem: string, source: SecretSource, env: ConfigLookup['env']): FileTrouble[] {
  const key = 'file' in source ? `${stem}File` : `${stem}Env`
  try {
    readSecret(source, env)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return [{ severity: 'error', key, what: error.message, fix: error.hint }]
  }
  if (!('file' in source)) return []
  const mode = statSync(source.file).mode & 0o777
  if ((mode & OTHERS_READ_WRITE) === 0) return []
  const what = `others may read or write ${source.file} (mode ${octal(mode)})`
  return [{ severity: (mode & 0o006) === 0 ? 'warning' : 'error', key, what, fix: `chmod 600 ${source.file}` }]
}

function certificateTroubles(key: string, file: string): FileTrouble[] {
  const info = statSync(file, { throwIfNoEntry: false })
  if (info?.isFile() === true) return []
  const what = info === undefined ? `the file ${file} does not exist` : `${file} is no file`
  return [{ severity: 'error', key, what, fix: 'Put the certificate of the certification authority there, as PEM.' }]
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

function problem(severity: Problem['severity'], key: string, message: string): Problem {
  return { severity, line: 0, column: 0, key, message }
}
