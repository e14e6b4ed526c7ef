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

/** As problems of the file that names them, errors alone. */
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
