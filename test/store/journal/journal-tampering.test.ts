import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { recordHash } from '../../../src/store/engine/journal.ts'
import type { JournalRow } from '../../../src/store/schema/schema.ts'
import { openStore } from '../../../src/store/store.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { lockEvent, openTestStore, START_MS } from '../test-store.ts'

/**
 * Somebody with the files in hand: whatever is changed, removed, swapped or cut off in archives and database is found.
 * Not found, by its nature, is a chain that was hashed anew from some place to its end, head included.
 */

const DAY_MS = 86_400_000
const RUNS = 150

/** Where a record stands: the name of an archive file, or '' for the database. */
interface Placed {
  readonly place: string
  readonly row: JournalRow
}

type Tampering = (records: readonly Placed[]) => Placed[]

let original: { dir: string } & AsyncDisposable
let records: readonly Placed[] = []

beforeAll(async () => {
  await using opened = await openTestStore()
  const { archive, inbox } = opened.store
  for (let number = 1; number <= 40; number++) {
    opened.clock.setMs(START_MS + number * DAY_MS)
    await inbox.take([lockEvent(number)], [])
    if (number % 10 === 0)
      await archive.archive({ beforeMs: START_MS + (number - 4) * DAY_MS, gatherMs: 0, recordsMax: 1_000 })
  }
  expect(await archive.prune(START_MS + 10 * DAY_MS)).toBe(1)
  expect((await archive.verify()).faults).toEqual([])
  expect((await archive.files()).length).toBe(3)
  const temp = await makeTempDir('tampered')
  original = { dir: temp.path, [Symbol.asyncDispose]: () => temp[Symbol.asyncDispose]() }
  cpSync(opened.dir, join(temp.path, 'original'), { recursive: true })
  records = readRecords(join(temp.path, 'original'))
})
afterAll(() => original?.[Symbol.asyncDispose]())

function readRecords(dir: string): Placed[] {
  const archive = join(dir, 'journal-archive')
  const archived = readdirSync(archive)
    .toSorted()
    .flatMap((place) =>
      readFileSync(join(archive, place), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => ({ place, row: JSON.parse(line) as JournalRow })),
    )
  const database = new DatabaseSync(join(dir, 'lockstep.db'))
  const rows = database.prepare('select * from journal order by seq').all() as unknown as JournalRow[]
  database.close()
  return [...archived, ...rows.map((row) => ({ place: '', row: { ...row } }))]
}

/** Writes the records as they are now, and what stood beside the chain to fit the new beginning. */
function write(dir: string, changed: readonly Placed[]): void {
  for (const name of readdirSync(join(dir, 'journal-archive'))) {
    const lines = changed.flatMap(({ place, row }) => (place === name ? [`${JSON.stringify(row)}\n`] : []))
    if (lines.length === 0) rmSync(join(dir, 'journal-archive', name))
    else writeFileSync(join(dir, 'journal-archive', name), lines.join(''))
  }
  const database = new DatabaseSync(join(dir, 'lockstep.db'))
  database.exec('delete from journal')
  const insert = database.prepare(
    'insert or replace into journal (seq, at_ms, kind, subject, body, prev_hash, hash) values (?, ?, ?, ?, ?, ?, ?)',
  )
  for (const { place, row } of changed) {
    const { seq, at_ms: atMs, kind, subject, body, prev_hash: before, hash } = row
    if (place === '') insert.run(seq, atMs, kind, subject, body, before, hash)
  }
  const first = changed[0]?.row
  const start = first === undefined ? '0 0' : `${first.seq - 1} ${first.prev_hash}`
  database.prepare("insert or replace into meta (key, value) values ('journal-start', ?)").run(start)
  database.close()
}

const at = fc.nat({ max: 1_000 })

function changed(index: number, edit: (row: JournalRow) => JournalRow): Tampering {
  return (all) => all.map((each, place) => (place === index % all.length ? { ...each, row: edit(each.row) } : each))
}

const tampering: fc.Arbitrary<readonly [string, Tampering]> = fc.oneof(
  fc
    .tuple(at, fc.constantFrom('kind', 'subject', 'body', 'prev_hash', 'hash'), fc.string({ minLength: 1 }))
    .map(
      ([index, field, text]) =>
        [
          `change ${field} of ${index}`,
          changed(index, (row) => ({ ...row, [field]: `${row[field as 'kind']}${text}` })),
        ] as const,
    ),
  fc
    .tuple(at, fc.integer({ min: 1, max: 99 }))
    .map(
      ([index, by]) =>
        [`change the time of ${index}`, changed(index, (row) => ({ ...row, at_ms: row.at_ms + by }))] as const,
    ),
  at.map(
    (index) =>
      [
        `change and hash anew ${index}`,
        changed(index, (row) => {
          const forged = { ...row, body: '{"to":1,"hash":"x"}' }
          return { ...forged, hash: recordHash(forged) }
        }),
      ] as const,
  ),
  fc
    .tuple(at, fc.integer({ min: 1, max: 60 }))
    .map(
      ([from, count]) =>
        [`remove ${count} from ${from}`, (all: readonly Placed[]) => all.toSpliced(from % all.length, count)] as const,
    ),
  fc
    .integer({ min: 1, max: 60 })
    .map((count) => [`remove the first ${count}`, (all: readonly Placed[]) => all.slice(count)] as const),
  fc
    .integer({ min: 1, max: 60 })
    .map((count) => [`remove the last ${count}`, (all: readonly Placed[]) => all.slice(0, -count)] as const),
  fc
    .tuple(at, fc.integer({ min: 1, max: 40 }))
    .map(([index, by]) => [`swap ${index} with the ${by}th after`, swap(index, by, false)] as const),
  fc
    .tuple(at, fc.integer({ min: 1, max: 40 }))
    .map(([index, by]) => [`swap ${index} with the ${by}th after, and their numbers`, swap(index, by, true)] as const),
)

function swap(index: number, by: number, isNumberToo: boolean): Tampering {
  return (all) => {
    const [one, two] = [index % all.length, (index + by) % all.length]
    const [a, b] = [all[one], all[two]]
    if (a === undefined || b === undefined) return [...all]
    const put = (place: Placed, from: Placed): Placed => ({
      place: place.place,
      row: isNumberToo || place.place === '' ? { ...from.row, seq: place.row.seq } : from.row,
    })
    return all.with(one, put(a, b)).with(two, put(b, a))
  }
}

test('whatever is tampered with in archives and database is found', async () => {
  let runs = 0
  await fc.assert(
    fc.asyncProperty(tampering, async ([, tamper]) => {
      const after = tamper(records)
      fc.pre(JSON.stringify(after) !== JSON.stringify(records))
      const dir = join(original.dir, `run-${++runs}`)
      cpSync(join(original.dir, 'original'), dir, { recursive: true })
      write(dir, after)
      const file = join(dir, 'lockstep.db')
      await using store = await openStore({
        file,
        clock: systemClock,
        lockTtlMs: null,
        willWrite: false,
      })
      expect((await store.archive.verify()).faults).not.toEqual([])
      rmSync(dir, { recursive: true })
    }),
    { numRuns: RUNS },
  )
})
