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
    return { file, problems: [...warnings, ...configFileProblems(file), ...checkFiles(settings, lookup.env)] }
  } catch (error) {
    if (error instanceof ConfigError) return { file, problems: error.problems }
    throw error
  }
}

function configFileProblems(file: string): Problem[] {
  const mode = statSync(file).mode & 0o777
  if ((mode & OTHERS_WRITE) === 0) return []
  return [warning('', `others may write this file (mode ${octal(mode)}); run: chmod go-w ${file}`)]
}

/** The files of secrets and certificates that the settings name. */
export function checkFiles(settings: Settings, env: ConfigLookup['env']): Problem[] {
  const found: Problem[] = []
  for (const directory of settings.directories) {
    const key = `directories.${directory.name}`
    found.push(...secretProblems(`${key}.bindPassword`, directory.bindPassword, env))
    if (directory.caFile !== null) found.push(...certificateProblems(`${key}.ca`, directory.caFile))
  }
  const http = settings.intake.http
  if (http !== null) found.push(...secretProblems('intake.http.hookSecret', http.hookSecret, env))
  return found
}

/** @param stem the key without `File` or `Env` */
function secretProblems(stem: string, source: SecretSource, env: ConfigLookup['env']): Problem[] {
  const key = 'file' in source ? `${stem}File` : `${stem}Env`
  try {
    readSecret(source, env)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return [problem('error', key, `${error.message}. ${error.hint}`.trim())]
  }
  if (!('file' in source)) return []
  const mode = statSync(source.file).mode & 0o777
  if ((mode & OTHERS_READ_WRITE) === 0) return []
  const message = `others may read or write ${source.file} (mode ${octal(mode)}); run: chmod 600 ${source.file}`
  return [(mode & 0o006) === 0 ? warning(key, message) : problem('error', key, message)]
}

function certificateProblems(key: string, file: string): Problem[] {
  const info = statSync(file, { throwIfNoEntry: false })
  if (info === undefined)
    return [problem('error', key, `the file ${file} does not exist; it holds the CA certificate as PEM`)]
  if (!info.isFile()) return [problem('error', key, `${file} is no file; it holds the CA certificate as PEM`)]
  return []
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

function problem(severity: Problem['severity'], key: string, message: string): Problem {
  return { severity, line: 0, column: 0, key, message }
}

function warning(key: string, message: string): Problem {
  return problem('warning', key, message)
}
