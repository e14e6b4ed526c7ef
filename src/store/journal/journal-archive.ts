import { mkdir, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { AppError, toAppError } from '../../core/error.ts'
import { systemRefusal } from '../../core/system-error.ts'
import type { Clock } from '../../ports/clock.ts'
import { ARCHIVE_FORMAT, ChainChecker } from './chain-checker.ts'
import { headFault, journalRows, readHead, type ChainFault } from '../engine/journal.ts'
import type { Database, JournalRow } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'

/**
 * Old journal records leave the store in order, into files of JSON lines beside it; the chain goes on through them.
 * `<from>-<to>.jsonl`, sequence numbers padded to 12 digits, so that names sort as the records do.
 */

const FILE = /^(\d{12})-(\d{12})\.jsonl$/
const RECORDS_PER_FILE_MAX = 10_000
const PROGRESS_RECORDS = 10_000
/** The surplus over the limit leaves with this part of it, so that the next ones do not leave one by one. */
const RECORDS_SPARE_PART = 10
const VERIFY_TRIES_MAX = 20

export interface ArchiveRules {
  /** Older records may go. */
  readonly beforeMs: number
  /** How much longer they may wait for others to fill a file with them. */
  readonly gatherMs: number
  /** More than so many do not stay, whatever their age. */
  readonly recordsMax: number
}

export interface Verified {
  readonly records: number
  readonly faults: readonly ChainFault[]
}

export interface ArchiveFile {
  readonly name: string
  readonly from: number
  readonly to: number
}

export class JournalArchive {
  readonly #db: Database
  readonly #writer: StoreWriter
  readonly #clock: Clock
  readonly #dir: string

  constructor(db: Database, writer: StoreWriter, clock: Clock, dir: string) {
    this.#db = db
    this.#writer = writer
    this.#clock = clock
    this.#dir = dir
  }

  /**
   * Moves at most one file's worth of records, so that there are few files: those past their age when they fill one or
   * the oldest has waited for `gatherMs` more; those beyond `recordsMax`, and a tenth of it with them.
   * @returns how many were moved; call it until 0
   */
  async archive({ beforeMs, gatherMs, recordsMax }: ArchiveRules): Promise<number> {
    const head = await readHead(this.#db)
    const first = await this.#row(1, 'min')
    if (first === null) return 0
    const unfinished = (await this.files()).find((file) => file.from === first.seq)
    const count = head.seq - first.seq + 1
    // One more than are too many: the archiving is a record itself, and would be one too many at once.
    const spare = Math.min(RECORDS_PER_FILE_MAX, Math.floor(recordsMax / RECORDS_SPARE_PART))
    const overMax = count > recordsMax ? count - recordsMax + 1 + spare : 0
    const byAgeMs = (await this.#isWorthAFile(first, beforeMs, gatherMs)) ? beforeMs : 0
    const rows: JournalRow[] = []
    for await (const row of journalRows(this.#db, first.seq)) {
      if (rows.length >= RECORDS_PER_FILE_MAX || row.seq >= head.seq) break
      if (unfinished === undefined ? row.at_ms >= byAgeMs && rows.length >= overMax : row.seq > unfinished.to) break
      rows.push(row)
    }
    const last = rows.at(-1)
    if (last === undefined) return 0
    const name = await this.#write(rows, first.seq, last.seq)
    await this.#writer.run(async (scope) => {
      await scope.trx.deleteFrom('journal').where('seq', '<=', last.seq).execute()
      const body = { from: first.seq, to: last.seq, file: name, hash: last.hash, format: ARCHIVE_FORMAT }
      scope.log({ atMs: this.#clock.nowMs(), kind: 'archived', subject: '', body })
    })
    return rows.length
  }

  async #isWorthAFile(first: JournalRow, beforeMs: number, gatherMs: number): Promise<boolean> {
    if (first.at_ms < beforeMs - gatherMs) return true
    const lastOfFile = await this.#row(first.seq + RECORDS_PER_FILE_MAX - 1, 'exact')
    return lastOfFile !== null && lastOfFile.at_ms < beforeMs
  }

  async #row(seq: number, which: 'min' | 'exact'): Promise<JournalRow | null> {
    const from = this.#db.selectFrom('journal').selectAll()
    const query = which === 'min' ? from.where('seq', '>=', seq).orderBy('seq').limit(1) : from.where('seq', '=', seq)
    return (await query.executeTakeFirst()) ?? null
  }

  /** Removes archive files whose newest record is older, oldest first; the chain records that it starts after them. */
  async prune(beforeMs: number): Promise<number> {
    let removed = 0
    for (const file of (await this.files()).slice(0, -1)) {
      let last: JournalRow | null = null
      for await (const row of this.#read(file.name)) last = row
      if (last === null || last.at_ms >= beforeMs) break
      const body = { to: last.seq, hash: last.hash, file: file.name }
      await this.#writer.run(async (scope) => {
        scope.log({ atMs: this.#clock.nowMs(), kind: 'pruned', subject: '', body })
      })
      await rm(join(this.#dir, file.name), { force: true })
      removed++
    }
    return removed
  }

  /** Walks the whole chain, archives first; again where it seems broken and files came or went meanwhile. */
  async verify(onProgress?: (records: number) => void): Promise<Verified> {
    for (let tries = 1; ; tries++) {
      const files = await this.files()
      const walked = await this.#walk(files, onProgress)
      if (walked.faults.length === 0 || tries === VERIFY_TRIES_MAX) return walked
      const isSame = (await this.files()).map(({ name }) => name).join() === files.map(({ name }) => name).join()
      if (isSame) return walked
    }
  }

  async #walk(files: readonly ArchiveFile[], onProgress?: (records: number) => void): Promise<Verified> {
    const checker = new ChainChecker()
    const head = await readHead(this.#db)
    for (const file of files) {
      for await (const row of this.#read(file.name)) checker.add(row)
      onProgress?.(checker.checked)
    }
    const archivedTo = checker.last?.seq ?? 0
    for await (const row of journalRows(this.#db, 0)) {
      // A crash between writing the file and deleting the rows leaves them in both.
      if (row.seq <= archivedTo) continue
      if (row.seq > head.seq) break
      checker.add(row)
      if (checker.checked % PROGRESS_RECORDS === 0) onProgress?.(checker.checked)
    }
    const faults = checker.end(head)
    const end = await headFault(this.#db)
    return { records: checker.checked, faults: end === null ? faults : [...faults, end] }
  }

  async files(): Promise<ArchiveFile[]> {
    let names: string[]
    try {
      names = await readdir(this.#dir)
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw toAppError(thrown, 'file-io')
    }
    return names.toSorted().flatMap((name) => {
      const match = FILE.exec(name)
      return match === null ? [] : [{ name, from: Number(match[1]), to: Number(match[2]) }]
    })
  }

  async #write(rows: readonly JournalRow[], from: number, to: number): Promise<string> {
    const name = `${String(from).padStart(12, '0')}-${String(to).padStart(12, '0')}.jsonl`
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o750 })
      const temporary = join(this.#dir, `.${name}.tmp`)
      await using file = await open(temporary, 'w', 0o640)
      await file.writeFile(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
      await file.sync()
      await rename(temporary, join(this.#dir, name))
      await using folder = await open(this.#dir, 'r')
      await folder.sync()
    } catch (thrown) {
      const { code, why, hint } = systemRefusal(thrown)
      throw new AppError(code, `cannot archive journal records into ${this.#dir}: ${why}`, { hint, cause: thrown })
    }
    return name
  }

  async *#read(name: string): AsyncGenerator<JournalRow> {
    // Opened before it is read line by line, so that one that is gone meanwhile is an error here.
    const file = await openThere(join(this.#dir, name))
    if (file === null) return
    const lines = createInterface({ input: file.createReadStream(), crlfDelay: Infinity })
    let number = 0
    for await (const line of lines) {
      number++
      if (line === '') continue
      let row: JournalRow
      try {
        row = JSON.parse(line) as JournalRow
      } catch (thrown) {
        throw new AppError('store-corrupt', `${name}, line ${number}: no journal record`, { cause: thrown })
      }
      yield row
    }
  }
}

/** @returns null where the file is gone: the daemon may prune while somebody verifies */
async function openThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, 'r')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw toAppError(thrown, 'file-io')
  }
}
