import type { Command } from 'commander'
import { EXIT } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { moment } from '../moment.ts'
import { note, print, printJson, printTable, progress } from '../output.ts'
import { limitOption } from '../options.ts'
import { loadForWork } from '../settings.ts'

interface Options {
  readonly verify?: boolean
  readonly limit: string
  readonly from?: string
  readonly json?: boolean
}

export function register(program: Command, io: CliIo): void {
  program
    .command('journal')
    .description('the record of events, plans and outcomes; --verify checks its chain of hashes, archives included')
    .option('--verify', 'find any record that was changed, removed or moved')
    .option('--limit <number>', 'the newest so many', '50')
    .option('--from <number>', 'from this record on instead')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options, command: Command) => {
      const { openStoreOf } = await import('../../daemon/state-store.ts')
      await using store = await openStoreOf(await loadForWork(command, io), false)
      if (options.verify === true) {
        using line = progress(io)
        const { records, faults } = await store.archive.verify((count) => line.step(`${count} records checked`))
        io.exitCode = faults.length === 0 ? EXIT.ok : EXIT.dataError
        if (options.json === true) printJson(io, { ok: faults.length === 0, records, faults })
        else if (faults.length === 0) print(io, `${records} records, the chain is whole`)
        else {
          print(
            io,
            `the chain is broken in ${faults.length} place${faults.length === 1 ? '' : 's'} (${records} records read)`,
          )
          for (const fault of faults) note(io, `  ${fault.what}`)
        }
        return
      }
      const limit = limitOption('--limit', options.limit)
      const fromSeq = options.from === undefined ? {} : { fromSeq: limitOption('--from', options.from) }
      const rows = await store.reports.journal({ limit, ...fromSeq })
      if (options.json === true) {
        printJson(
          io,
          rows.map(({ seq, at_ms: atMs, kind, subject, body, hash }) => ({
            seq,
            at: moment(atMs),
            kind,
            subject,
            body: JSON.parse(body) as unknown,
            hash,
          })),
        )
        return
      }
      printTable(io, rows, [
        { title: 'seq', value: (row) => String(row.seq), align: 'right' },
        { title: 'time', value: (row) => moment(row.at_ms) },
        { title: 'what', value: (row) => row.kind },
        { title: 'subject', value: (row) => row.subject, shrinks: true },
        { title: 'details', value: (row) => row.body, shrinks: true },
      ])
    })
}
