import { parse, CsvError } from 'csv-parse/sync'
import { readFile, stat } from 'node:fs/promises'
import { AppError } from '../core/error.ts'
import { ENROL_TYPES, type Enrollee, type EnrolType } from '../core/enrolment.ts'
import { parseLogin, parseRealm, type Realm } from '../core/names.ts'

/** The users of a roll-out from a CSV file: a line with the names `login`, `realm`, `type` first, in any order. */

const FILE_BYTES_MAX = 64 * 1024 * 1024
const USERS_MAX = 1_000_000
const PROBLEMS_SHOWN_MAX = 20
const COLUMNS = ['login', 'realm', 'type'] as const

export interface RolloutDefaults {
  /** Null: each line names its own. */
  readonly realm: Realm | null
  readonly type: EnrolType
}

/** Fails with `config-invalid` (every line that is wrong), `file-io`, `file-not-permitted`. */
export async function readRolloutFile(file: string, defaults: RolloutDefaults): Promise<readonly Enrollee[]> {
  return parseRollout(await textOf(file), file, defaults)
}

async function textOf(file: string): Promise<string> {
  try {
    const info = await stat(file)
    if (!info.isFile() || info.size > FILE_BYTES_MAX) {
      throw new AppError('config-invalid', `${file} is no file of at most ${FILE_BYTES_MAX / 1024 / 1024} MiB`)
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file))
  } catch (error) {
    if (error instanceof AppError) throw error
    if (error instanceof TypeError) throw invalid(file, ['1: this is not UTF-8 text'], 'Save it as UTF-8.')
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const isForbidden = code === 'EACCES' || code === 'EPERM'
    throw new AppError(isForbidden ? 'file-not-permitted' : 'file-io', `${file} cannot be read (${code})`, {
      cause: error,
    })
  }
}

interface Line {
  readonly record: Readonly<Record<string, string>>
  readonly info: { readonly lines: number }
}

export function parseRollout(text: string, file: string, defaults: RolloutDefaults): readonly Enrollee[] {
  const problems: string[] = []
  const found: Enrollee[] = []
  for (const { record, info } of linesOf(text, file)) {
    const parsed = enrolleeOf(record, defaults)
    if (typeof parsed === 'string') problems.push(`${info.lines}: ${parsed}`)
    else found.push(parsed)
  }
  if (problems.length > 0) throw invalid(file, problems, 'Correct the file; nothing was done yet.')
  if (found.length > USERS_MAX) throw new AppError('limit-exceeded', `${file} names more than ${USERS_MAX} users`)
  if (found.length === 0) throw invalid(file, ['1: no user stands below the names of the columns'], 'One line a user.')
  return found
}

function linesOf(text: string, file: string): readonly Line[] {
  try {
    return parse(text, {
      bom: true,
      delimiter: [',', ';', '\t'],
      columns: (names: string[]) => checkedColumns(names, file),
      info: true,
      skip_empty_lines: true,
      trim: true,
      max_record_size: 10_000,
    }) as unknown as Line[]
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    const line = typeof error['lines'] === 'number' ? error['lines'] : 1
    throw invalid(file, [`${line}: ${meaningOf(error)}`], 'One line a user, as many fields as the first line names.')
  }
}

function meaningOf({ code }: CsvError): string {
  if (code === 'CSV_RECORD_INCONSISTENT_COLUMNS' || code === 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH') {
    return 'it has another number of fields than the first line'
  }
  if (code === 'CSV_QUOTE_NOT_CLOSED') return 'a quote is opened and never closed'
  return `this is no CSV (${code})`
}

function checkedColumns(names: readonly string[], file: string): string[] {
  const columns = names.map((name) => name.toLowerCase())
  const known: readonly string[] = COLUMNS
  const twice = columns.find((name, index) => known.includes(name) && columns.indexOf(name) !== index)
  if (twice !== undefined) throw invalid(file, [`1: the column ${twice} stands there twice`], 'Keep one of the two.')
  if (columns.includes('login')) return columns
  throw invalid(
    file,
    ['1: no column is called login'],
    'The first line names the columns: login, and perhaps realm, type.',
  )
}

/** @returns what is wrong, or whom the line names */
function enrolleeOf(record: Readonly<Record<string, string>>, defaults: RolloutDefaults): Enrollee | string {
  const login = parseLogin(record['login'] ?? '')
  if (login === null) return 'login: a user name is expected'
  const realmText = record['realm'] ?? ''
  const realm = realmText === '' ? defaults.realm : parseRealm(realmText)
  if (realm === null)
    return realmText === '' ? 'realm: is missing; name it here or with --realm' : 'realm: this is none'
  const typeText = (record['type'] ?? '').toLowerCase()
  const type = typeText === '' ? defaults.type : ENROL_TYPES.find((each) => each === typeText)
  return type === undefined ? `type: expected one of ${ENROL_TYPES.join(', ')}` : { login, realm, type }
}

function invalid(file: string, problems: readonly string[], hint: string): AppError {
  const lines = problems.slice(0, PROBLEMS_SHOWN_MAX).map((problem) => `  ${file}:${problem}`)
  const more = problems.length > PROBLEMS_SHOWN_MAX ? [`  … and ${problems.length - PROBLEMS_SHOWN_MAX} more`] : []
  return new AppError('config-invalid', ['the list of users has mistakes:', ...lines, ...more].join('\n'), { hint })
}
