import { statSync } from 'node:fs'
import type { Settings } from '../core/settings/settings.ts'
import { fileTroubles, type FileTrouble } from './named-files.ts'
import { findConfig, loadConfig, type ConfigLookup } from './load.ts'
import { ConfigError, type Problem } from './problem.ts'
import { octal } from '../core/format/octal.ts'

const OTHERS_WRITE = 0o022

export interface CheckResult {
  /** Absolute. */
  readonly file: string
  /** In the order of the file; empty without problems. */
  readonly problems: readonly Problem[]
}

/**
 * All checks of the configuration without a server: its keys, and whether the files that it names exist and are safe.
 * Throws only where there is no configuration file.
 */
export function checkConfig(lookup: ConfigLookup): CheckResult {
  const file = findConfig(lookup)
  try {
    const { settings, warnings } = loadConfig({ ...lookup, flag: file })
    return {
      file,
      problems: [...warnings, ...configFileProblems(file), ...fileTroubles(settings, lookup.env).map(shown)],
    }
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

function shown({ severity, key, what, fix }: FileTrouble): Problem {
  return problem(severity, key, `${what}. Fix: ${fix}`)
}

/** As problems of the file that names them, only errors. */
export function badFiles(
  settings: Settings,
  env: ConfigLookup['env'],
  mayWait: (trouble: FileTrouble) => boolean,
): Problem[] {
  return fileTroubles(settings, env)
    .filter((trouble) => trouble.severity === 'error' && !mayWait(trouble))
    .map(shown)
}

function problem(severity: Problem['severity'], key: string, message: string): Problem {
  return { severity, line: 0, column: 0, key, message }
}
