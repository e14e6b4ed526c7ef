import { isUtf8 } from 'node:buffer'
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { AppError } from '../core/error.ts'
import type { Settings } from '../core/settings/settings.ts'
import { buildSettings, usualHealthFile } from './build.ts'
import { ConfigError, showPath, type Problem } from './problem.ts'
import { relationsOf, relationsOfValues } from './relations/relations.ts'
import { CONFIG_KEYS, configFile } from './keys/schema.ts'
import { BAD, isSection } from './keys/value.ts'
import { parseYaml, type YamlSource } from './yaml-source.ts'
import { unreadable } from './secret.ts'

/** The file is at most so large. */
const CONFIG_BYTES_MAX = 256 * 1024
const SYSTEM_FILE = '/etc/lockstep/lockstep.yaml'
const LOCAL_FILE = 'lockstep.yaml'

export interface ConfigLookup {
  /** The value of `--config`. */
  readonly flag?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
}

export interface LoadedConfig {
  readonly settings: Settings
  /** Warnings for the administrator, which block nothing. */
  readonly warnings: readonly Problem[]
}

/**
 * Finds, reads and checks the configuration: `--config FILE`, else LOCKSTEP_CONFIG, else `./lockstep.yaml`, else
 * `/etc/lockstep/lockstep.yaml`. Secrets are named in it and not read here.
 * Fails with `config-invalid` (every mistake at once, see ConfigError) and `file-not-permitted`.
 */
export function loadConfig(lookup: ConfigLookup): LoadedConfig {
  const file = findConfig(lookup)
  return parseConfig(readConfig(file), file)
}

/** The file in use, as an absolute path. Fails with `config-invalid` where there is none. */
export function findConfig(lookup: ConfigLookup): string {
  const found = lookForConfig(lookup)
  if (found !== null) return found
  const candidates = [resolve(lookup.cwd, LOCAL_FILE), SYSTEM_FILE]
  throw new AppError('config-invalid', `no configuration found: neither ${candidates.join(' nor ')} is there`, {
    hint: 'Write one with "lockstep init", or name it with --config FILE or LOCKSTEP_CONFIG.',
  })
}

/** As findConfig; null where none is named and none is in the usual places. */
export function lookForConfig({ flag, env, cwd }: ConfigLookup): string | null {
  const named = flag ?? env['LOCKSTEP_CONFIG']
  if (named !== undefined && named !== '') return resolve(cwd, named)
  const candidates = [resolve(cwd, LOCAL_FILE), SYSTEM_FILE]
  return candidates.find((file) => isThere(file)) ?? null
}

/** A file that may not be looked at counts as there: reading it reports who may. */
function isThere(file: string): boolean {
  try {
    return statSync(file, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    throw unreadable(`the configuration file ${file}`, error, HINTS)
  }
}

/** Places that a file names, also a file with mistakes elsewhere, as absolute paths; null: not known. */
export interface NamedPlaces {
  readonly store: string | null
  /** As the file states, else the default beside the store. */
  readonly healthFile: string | null
}

/** Never fails. */
export function placesOf(file: string): NamedPlaces {
  try {
    // A byte that is no UTF-8 is a mistake elsewhere.
    const text = new TextDecoder('utf-8').decode(readBytes(file))
    const { value } = parseYaml(text)
    const health = isSection(value) ? value['health'] : undefined
    const [storeText, healthText] = isSection(value)
      ? [value['store'], isSection(health) ? health['file'] : undefined]
      : [STORE_LINE.exec(text)?.[1], HEALTH_LINE.exec(text)?.[1]]
    const store = pathOf(file, CONFIG_KEYS['store'], storeText)
    const named = typeof healthText === 'string' && healthText !== '' ? resolve(dirname(file), healthText) : null
    return { store, healthFile: named ?? (store === null ? null : usualHealthFile(store)) }
  } catch {
    return { store: null, healthFile: null }
  }
}

function pathOf(file: string, key: (typeof CONFIG_KEYS)[string] | undefined, written: unknown): string | null {
  const read = (text: string): unknown => key?.value?.read(text, [], { root: {}, report: () => undefined })
  const found = typeof written === 'string' ? read(written) : key?.missing?.value
  return typeof found === 'string' ? resolve(dirname(file), found) : null
}

/** Where the rest cannot be read as YAML. */
const STORE_LINE = /^store: *['"]?(sqlite:[^'"#\n]*[^'"#\s])/m
const HEALTH_LINE = /^health:(?: *\{| *(?:#.*)?\n +) *file: *['"]?([^'"#,}\n]*[^'"#,}\s])/m

/** Fails with a ConfigError that names the line of a byte that is no UTF-8, and as readBytes does. */
function readConfig(file: string): string {
  const bytes = readBytes(file)
  if (isUtf8(bytes)) return new TextDecoder('utf-8').decode(bytes)
  const lines = bytes.toString('latin1').split('\n')
  const line = lines.findIndex((text) => !isUtf8(Buffer.from(text, 'latin1')))
  const before = Buffer.from(lines[line] ?? '', 'latin1').toString('utf8')
  const message = 'this byte is not UTF-8; save the file as UTF-8'
  const column = before.indexOf('\uFFFD') + 1
  throw new ConfigError(file, [{ severity: 'error', line: line + 1, column, key: '', message }])
}

function readBytes(file: string): Buffer {
  let descriptor: number
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw unreadable(`the configuration file ${file}`, error, HINTS)
  }
  try {
    const info = fstatSync(descriptor)
    if (!info.isFile()) throw new AppError('config-invalid', `${file} is not a file`, { hint: 'Name a YAML file.' })
    const bytes = Buffer.alloc(CONFIG_BYTES_MAX + 1)
    let length = 0
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(descriptor, bytes, length, bytes.length - length, null)
    }
    if (length > CONFIG_BYTES_MAX) {
      throw new AppError('config-invalid', `${file} is larger than ${CONFIG_BYTES_MAX / 1024} KiB`, {
        hint: 'Is it the right file?',
      })
    }
    return bytes.subarray(0, length)
  } finally {
    closeSync(descriptor)
  }
}

const HINTS = {
  ifMissing: 'Check the path, or write the file with "lockstep init".',
  ifDenied: 'Run this as the user that Lockstep runs as, or as root.',
}

/** Checks a configuration text. @param file absolute; relative paths in the text are relative to its folder */
export function parseConfig(text: string, file: string): LoadedConfig {
  const source = parseYaml(text)
  if (source.problems.length > 0) throw new ConfigError(file, source.problems)
  const raw = source.value ?? null
  if (raw === null) throw new ConfigError(file, [wholeFile('the file is empty; "lockstep init" writes one')])
  if (!isSection(raw)) {
    throw new ConfigError(file, [wholeFile('keys are expected, as in "directories:"; this is something else')])
  }
  const found: Problem[] = []
  const parsed = configFile.read(raw, [], {
    root: CONFIG_KEYS,
    report: (path, which, message) => found.push(at(source, path, which === 'key', 'error', message)),
  })
  const relations = [...relationsOf(raw), ...(parsed === BAD ? [] : relationsOfValues(parsed))]
  for (const { path, severity, message } of relations) found.push(at(source, path, true, severity, message))
  const problems = found.toSorted((a, b) => a.line - b.line || a.column - b.column)
  const errors = problems.filter((problem) => problem.severity === 'error')
  if (parsed === BAD || errors.length > 0) throw new ConfigError(file, errors)
  return { settings: buildSettings(parsed, file), warnings: problems }
}

function at(
  source: YamlSource,
  path: readonly PropertyKey[],
  atKey: boolean,
  severity: Problem['severity'],
  message: string,
): Problem {
  const place = atKey ? source.placeOfKey(path) : source.placeOf(path)
  return { severity, ...place, key: showPath(path), message }
}

function wholeFile(message: string): Problem {
  return { severity: 'error', line: 1, column: 1, key: '', message }
}
