import { parse, CsvError } from 'csv-parse/sync'
import { readFile, stat } from 'node:fs/promises'
import { AppError } from '../../core/error.ts'
import { systemRefusal } from '../../core/system-error.ts'
import { ENROLL_TYPES, type Enrollee, type EnrollType } from '../../core/source/enrollment.ts'
import { parseLogin, parseRealm, type Realm } from '../../core/names.ts'

/**
 * The users of a roll-out from a CSV file (RFC 4180): a line with the names `login`, `realm`, `type` first, in any
 * order. The separator (a comma, a semicolon or a tab) is determined once, by that line. Spreadsheets write a byte
 * order mark, UTF-16, and `sep=;` in a line of its own before it; an encoding without a mark is UTF-8, since a name
 * that is read in another one would be another user's.
 */

const FILE_BYTES_MAX = 64 * 1024 * 1024
const USERS_MAX = 1_000_000
const PROBLEMS_SHOWN_MAX = 20
const DELIMITERS = [',', ';', '\t'] as const
type Delimiter = (typeof DELIMITERS)[number]
const DELIMITER_NAMES: Readonly<Record<Delimiter, string>> = { ',': 'a comma', ';': 'a semicolon', '\t': 'a tab' }
const COLUMNS = ['login', 'realm', 'type'] as const

export interface RolloutDefaults {
  /** Null: each line names its own. */
  readonly realm: Realm | null
  readonly type: EnrollType
}

/** Fails with `input-invalid` (every wrong line), `file-io`, `file-not-permitted`. */
export async function readRolloutFile(file: string, defaults: RolloutDefaults): Promise<readonly Enrollee[]> {
  return parseRollout(await textOf(file), file, defaults)
}

async function textOf(file: string): Promise<string> {
  try {
    const info = await stat(file)
    if (!info.isFile() || info.size > FILE_BYTES_MAX) {
      throw new AppError('input-invalid', `${file} is no file of at most ${FILE_BYTES_MAX / 1024 / 1024} MiB`)
    }
    return decoded(await readFile(file))
  } catch (error) {
    if (error instanceof AppError) throw error
    if (error instanceof TypeError)
      throw invalid(file, ['1: this is neither UTF-8 text nor UTF-16 with its mark'], 'Save it as UTF-8 (CSV UTF-8).')
    const { code, why, hint } = systemRefusal(error)
    throw new AppError(code, `${file} cannot be read: ${why}`, { hint, cause: error })
  }
}

/** Fails with a TypeError where the bytes are no text. */
function decoded(bytes: Uint8Array): string {
  const [first, second] = bytes
  const encoding =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8'
  return new TextDecoder(encoding, { fatal: true }).decode(bytes)
}

interface Line {
  readonly record: Readonly<Record<string, string>>
  readonly info: { readonly lines: number }
}

export function parseRollout(text: string, file: string, defaults: RolloutDefaults): readonly Enrollee[] {
  const { lines, problems } = linesOf(text, file)
  const found: Enrollee[] = []
  for (const { record, info } of lines) {
    const parsed = enrolleeOf(record, defaults)
    if (typeof parsed === 'string') problems.push({ line: info.lines, what: parsed })
    else found.push(parsed)
  }
  if (problems.length > 0) {
    const sorted = problems.toSorted((a, b) => a.line - b.line).map(({ line, what }) => `${line}: ${what}`)
    throw invalid(file, sorted, 'Correct the file; nothing was done yet.')
  }
  if (found.length > USERS_MAX) throw new AppError('limit-exceeded', `${file} names more than ${USERS_MAX} users`)
  if (found.length === 0) throw invalid(file, ['1: no user is below the names of the columns'], 'One line a user.')
  return found
}

interface Problem {
  readonly line: number
  readonly what: string
}

/** Every line that can be read, and the problems of the others. */
function linesOf(text: string, file: string): { readonly lines: readonly Line[]; readonly problems: Problem[] } {
  const problems: Problem[] = []
  const { rest, said, skipped } = withoutSeparatorLine(text)
  const delimiter = said ?? delimiterOf(rest, file)
  const note = (error: CsvError): void => {
    const line = typeof error['lines'] === 'number' ? error['lines'] : 1
    problems.push({ line: line + skipped, what: meaningOf(error) })
  }
  try {
    const lines = parse(rest, {
      bom: true,
      delimiter: delimiter === null ? [...DELIMITERS] : delimiter,
      columns: (names: string[]) => checkedColumns(names, file),
      info: true,
      skip_empty_lines: true,
      trim: true,
      max_record_size: 10_000,
      skip_records_with_error: true,
      on_skip: (error: CsvError | undefined) => {
        if (error !== undefined) note(error)
      },
    }) as unknown as Line[]
    return { lines: lines.map(({ record, info }) => ({ record, info: { lines: info.lines + skipped } })), problems }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    note(error)
    return { lines: [], problems }
  }
}

/** `sep=;` from spreadsheets: a line before the names of the columns. */
function withoutSeparatorLine(text: string): { rest: string; said: Delimiter | null; skipped: number } {
  const found = /^\ufeff?sep=(.)\r?\n/i.exec(text)
  const said = DELIMITERS.find((each) => each === found?.[1])
  if (found === null || said === undefined) return { rest: text, said: null, skipped: 0 }
  return { rest: text.slice(found[0].length), said, skipped: 1 }
}

/** The separator of the names of the columns; null: there is only one column. Fails where several separators occur. */
function delimiterOf(text: string, file: string): Delimiter | null {
  const first = text.split(/\r?\n/).find((line) => line.trim() !== '') ?? ''
  const unquoted = first.replaceAll(/"(?:[^"]|"")*"/g, '')
  const used = DELIMITERS.filter((each) => unquoted.includes(each))
  if (used.length <= 1) return used[0] ?? null
  const names = used.map((each) => DELIMITER_NAMES[each]).join(' and ')
  throw invalid(
    file,
    [`1: the names of the columns are separated by ${names}`],
    'One of them has to separate all fields of the file.',
  )
}

function meaningOf({ code }: CsvError): string {
  if (code === 'CSV_RECORD_INCONSISTENT_COLUMNS' || code === 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH') {
    return 'it has another number of fields than the first line; a field that holds the separator is written in quotes'
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

/** @returns what is wrong, or the user that the line names */
function enrolleeOf(record: Readonly<Record<string, string>>, defaults: RolloutDefaults): Enrollee | string {
  const login = parseLogin(record['login'] ?? '')
  if (login === null) return 'login: a user name is expected'
  const realmText = record['realm'] ?? ''
  const realm = realmText === '' ? defaults.realm : parseRealm(realmText)
  if (realm === null)
    return realmText === '' ? 'realm: is missing; name it here or with --realm' : 'realm: this is none'
  const typeText = (record['type'] ?? '').toLowerCase()
  const type = typeText === '' ? defaults.type : ENROLL_TYPES.find((each) => each === typeText)
  return type === undefined ? `type: expected one of ${ENROLL_TYPES.join(', ')}` : { login, realm, type }
}

function invalid(file: string, problems: readonly string[], hint: string): AppError {
  const lines = problems.slice(0, PROBLEMS_SHOWN_MAX).map((problem) => `  ${file}:${problem}`)
  const more = problems.length > PROBLEMS_SHOWN_MAX ? [`  … and ${problems.length - PROBLEMS_SHOWN_MAX} more`] : []
  return new AppError('input-invalid', ['the list of users has mistakes:', ...lines, ...more].join('\n'), { hint })
}
