import { statSync } from 'node:fs'
import { toAppError } from '../core/error.ts'
import { loadConfig, type ConfigLookup } from './load.ts'
import { namedFiles, SECRET_MODES, type NamedFile } from './named-files.ts'
import { ConfigError } from './problem.ts'
import { octal } from '../core/format/octal.ts'

/** For `check --explain`: each secret and certificate that the configuration names, and the accepted modes. */
export interface ExplainedFile {
  readonly key: string
  /** The path, or the name of the variable. */
  readonly place: string
  /** Its owner and its mode; or why they cannot be read. */
  readonly state: string
  readonly good: string
}

const CERTIFICATE_MODES = '0644: certificates are no secret, and no more than its owner may write it'

/** Empty where the configuration has mistakes of its own. */
export function explainFiles(lookup: ConfigLookup): readonly ExplainedFile[] {
  try {
    return namedFiles(loadConfig(lookup).settings).map(explained)
  } catch (error) {
    if (error instanceof ConfigError) return []
    throw error
  }
}

function explained({ key, kind, source }: NamedFile): ExplainedFile {
  if (!('file' in source)) {
    const good = 'set for the process of the daemon alone; it shows to root and to the user that Lockstep runs as'
    return { key, place: source.env, state: 'a variable of the environment', good }
  }
  return {
    key,
    place: source.file,
    state: stateOf(source.file),
    good: kind === 'secret' ? SECRET_MODES : CERTIFICATE_MODES,
  }
}

function stateOf(file: string): string {
  try {
    const { mode, uid, gid } = statSync(file)
    return `mode ${octal(mode)}, user ${uid}, group ${gid}`
  } catch (error) {
    return toAppError(error).message
  }
}
