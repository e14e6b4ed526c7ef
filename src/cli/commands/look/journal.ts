import { counted } from '../../../core/format/counted.ts'
import type { Command } from 'commander'
import type { Trouble } from '../../../contract/verdict.ts'
import { parseReason, reasonText } from '../../../core/reasons/reason.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { exactMoment } from '../../terminal/moment.ts'
import { note, print, printData, printTable, progress } from '../../terminal/output.ts'
import { limitOption, type Flags, type Given, type Texts } from '../../terminal/options.ts'
import type { JournalRow } from '../../../store/schema/schema.ts'
import { loadForWork, openStoreFor } from '../../process/settings.ts'
import type { Column, Detail } from '../../terminal/table.ts'

type Options = Given<'limit'> & Texts<'from'> & Flags<'verify' | 'json'>

export function register(program: Command, io: CliIo): void {
  program
    .command('journal')
    .description('the record of events, plans and outcomes; --verify checks its chain of hashes, archives included')
    .option('--verify', 'find any record that was changed, removed or moved')
    .option('--limit <number>', 'the newest so many', '50')
    .option('--from <number>', 'from this record on instead')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options, command: Command) => {
      await using store = await openStoreFor(await loadForWork(command, io, true))
      if (options.verify === true) {
        using line = progress(io)
        const { records, faults } = await store.archive.verify((count) =>
          line.step(`${counted(count, 'record')} checked`),
        )
        io.exitCode = faults.length === 0 ? EXIT.ok : EXIT.dataError
        if (options.json === true)
          printData(io, { records, faults }, faults.length === 0 ? null : troubleOf(faults.length))
        else if (faults.length === 0) print(io, `${counted(records, 'record')}, the chain is whole`)
        else {
          print(io, `the chain is broken in ${counted(faults.length, 'place')} (${counted(records, 'record')} read)`)
          for (const fault of faults) note(io, `  ${fault.what}`)
        }
        return
      }
      const limit = limitOption('--limit', options.limit)
      const fromSeq = options.from === undefined ? {} : { fromSeq: limitOption('--from', options.from) }
      const rows = await store.reports.journal({ limit, ...fromSeq })
      if (options.json === true) return printData(io, { records: rows.map(recordJson) })
      if (rows.length === 0 && options.from !== undefined) return note(io, `no records from ${options.from} on`)
      showRecords(io, rows)
    })
}

/** Through a pipe a line for each record; on a terminal its fields are below it. */
function showRecords(io: CliIo, rows: readonly JournalRow[]): void {
  const bodyOf = (row: JournalRow): unknown => shownBody(JSON.parse(row.body))
  const columns: Column<JournalRow>[] = [
    { title: 'seq', value: (row) => String(row.seq), align: 'right' },
    { title: 'time', value: (row) => exactMoment(Number(row.at_ms)), align: 'right' },
    { title: 'what', value: (row) => row.kind },
    { title: 'subject', value: (row) => row.subject, movesBelow: true },
  ]
  if (io.stdout.isTTY) printTable(io, rows, columns, (row) => fieldsOf(bodyOf(row)))
  else printTable(io, rows, [...columns, { title: 'details', value: (row) => JSON.stringify(bodyOf(row)) }])
}

/** Empty fields are left out. */
function fieldsOf(body: unknown): Detail[] {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return [['details', JSON.stringify(body)]]
  return Object.entries(body).flatMap(([name, value]: [string, unknown]): Detail[] => {
    const isEmpty = value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0)
    return isEmpty ? [] : [[name, typeof value === 'string' ? value : JSON.stringify(value).replaceAll(',"', ', "')]]
  })
}

function recordJson({ seq, at_ms: atMs, kind, subject, body, hash }: JournalRow): object {
  return { seq, atMs: Number(atMs), kind, subject, body: JSON.parse(body) as object, hash }
}

function troubleOf(faults: number): Trouble {
  const message = `the chain of the journal is broken in ${counted(faults, 'place')}`
  return { code: 'chain-broken', message, hint: 'faults shows where: a record was changed, removed or moved.' }
}

/** A record as it is shown: a sentence replaces a reason, and a time replaces an instant. */
function shownBody(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shownBody)
  if (typeof value !== 'object' || value === null) return value
  const reason = parseReason(value)
  if (reason !== null) return reasonText(reason)
  return Object.fromEntries(
    Object.entries(value).map(([name, each]: [string, unknown]) => shownTime(name, each) ?? [name, shownBody(each)]),
  )
}

/** Smaller numbers of these names are lengths of time. */
const INSTANT_MS_MIN = Date.UTC(2001)

/** An instant, as `takenAtUs`, is shown as a time under its name without the unit; null: it is none. */
function shownTime(name: string, value: unknown): [string, string] | null {
  const [, plainName = '', unit] = /^(.+)(Us|Ms)$/.exec(name) ?? []
  if (typeof value !== 'number' || unit === undefined) return null
  const ms = unit === 'Us' ? value / 1000 : value
  return ms < INSTANT_MS_MIN ? null : [plainName, exactMoment(Math.floor(ms))]
}
