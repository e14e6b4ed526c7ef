import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { AppError, toAppError } from '../core/error.ts'
import type { Clock } from '../ports/clock.ts'
import { ChainChecker, GENESIS_HASH, headFault, journalRows, readHead, type ChainFault } from './journal.ts'
import type { Database, JournalRow } from './schema.ts'
import type { Writer } from './writer.ts'

/**
 * Old journal records leave the store in order, into files of JSON lines beside it; the chain goes on through them.
 * `<from>-<to>.jsonl`, sequence numbers padded to 12 digits, so that names sort as the records do.
 */

const FILE = /^(\d{12})-(\d{12})\.jsonl$/
const RECORDS_PER_FILE_MAX = 10_000
const PROGRESS_RECORDS = 10_000
const START_KEY = 'journal-start'

export interface ArchiveFile {
  readonly name: string
  readonly from: number
  readonly to: number
}

export class JournalArchive {
  readonly #db: Database
  readonly #writer: Writer
  readonly #clock: Clock
  readonly #dir: string

  constructor(db: Database, writer: Writer, clock: Clock, dir: string) {
    this.#db = db
    this.#writer = writer
    this.#clock = clock
    this.#dir = dir
  }

  /**
   * Moves at most one file's worth of records: those older than `beforeMs`, and those beyond `recordsMax`.
   * @returns how many went; call again until 0
   */
  async archive(beforeMs: number, recordsMax: number): Promise<number> {
    const head = await readHead(this.#db)
    const first = await this.#db
      .selectFrom('journal')
      .select(['seq', 'at_ms'])
      .orderBy('seq')
      .limit(1)
      .executeTakeFirst()
    if (first === undefined) return 0
    const count = head.seq - first.seq + 1
    // One more than are too many: the archiving is a record itself, and would be one too many at once.
    const overMax = count > recordsMax ? count - recordsMax + 1 : 0
    const rows: JournalRow[] = []
    for await (const row of journalRows(this.#db, first.seq)) {
      if (rows.length >= RECORDS_PER_FILE_MAX || row.seq >= head.seq) break
      if (row.at_ms >= beforeMs && rows.length >= overMax) break
      rows.push(row)
    }
    const last = rows.at(-1)
    if (last === undefined) return 0
    const name = await this.#write(rows, first.seq, last.seq)
    await this.#writer.run(async (scope) => {
      await scope.trx.deleteFrom('journal').where('seq', '<=', last.seq).execute()
      const body = { from: first.seq, to: last.seq, file: name, hash: last.hash }
      scope.log({ atMs: this.#clock.nowMs(), kind: 'archived', subject: '', body })
    })
    return rows.length
  }

  /** Removes archive files whose newest record is older, oldest first; the chain then starts after them. */
  async prune(beforeMs: number): Promise<number> {
    let removed = 0
    for (const file of (await this.files()).slice(0, -1)) {
      let last: JournalRow | null = null
      for await (const row of this.#read(file.name)) last = row
      if (last === null || last.at_ms >= beforeMs) break
      const value = `${last.seq} ${last.hash}`
      await this.#writer.run(async ({ trx }) => {
        await trx
          .insertInto('meta')
          .values({ key: START_KEY, value })
          .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
          .execute()
      })
      await rm(join(this.#dir, file.name), { force: true })
      removed++
    }
    return removed
  }

  /** Walks the whole chain, archives first. */
  async verify(onProgress?: (records: number) => void): Promise<{ records: number; faults: readonly ChainFault[] }> {
    const start = await this.#db.selectFrom('meta').select('value').where('key', '=', START_KEY).executeTakeFirst()
    const [seq, hash] = start?.value.split(' ') ?? ['0', GENESIS_HASH]
    const checker = new ChainChecker({ seq: Number(seq), hash: hash ?? GENESIS_HASH })
    const head = await readHead(this.#db)
    let archivedTo = Number(seq)
    for (const file of await this.files()) {
      for await (const row of this.#read(file.name)) if (row.seq > Number(seq)) checker.add(row)
      archivedTo = Math.max(archivedTo, file.to)
      onProgress?.(checker.checked)
    }
    for await (const row of journalRows(this.#db, 0)) {
      // A crash between writing the file and deleting the rows leaves them in both.
      if (row.seq <= archivedTo) continue
      if (row.seq > head.seq) break
      checker.add(row)
      if (checker.checked % PROGRESS_RECORDS === 0) onProgress?.(checker.checked)
    }
    checker.end(head)
    const end = await headFault(this.#db)
    return { records: checker.checked, faults: end === null ? checker.faults : [...checker.faults, end] }
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
      const code = (thrown as NodeJS.ErrnoException).code === 'ENOSPC' ? 'disk-full' : 'file-io'
      throw new AppError(code, `cannot archive journal records into ${this.#dir}`, { cause: thrown })
    }
    return name
  }

  async *#read(name: string): AsyncGenerator<JournalRow> {
    const lines = createInterface({ input: createReadStream(join(this.#dir, name)), crlfDelay: Infinity })
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
