import { counted } from '../../core/counted.ts'
import type { Command } from 'commander'
import type { RehearsalReport } from '../../daemon/rehearse.ts'
import type { CliIo } from '../io.ts'
import { momentOption } from '../options.ts'
import { note, plain, print, printData, printTable, progress } from '../output.ts'
import { loadSettings } from '../settings.ts'

interface RehearseOptions {
  readonly since: string
  readonly json?: boolean
  readonly out?: string
}

/** Locks in the table at most; --json and the page have more. */
const SHOWN_MAX = 50

export function register(program: Command, io: CliIo): void {
  program
    .command('rehearse')
    .description("replay privacyIDEA's audit log: who would have been locked, and how fast; changes nothing")
    .option('--since <time>', 'from when: an age such as 90d, or a time', '90d')
    .option('--out <file>', 'also write a page with a chart, as in rehearsal.html')
    .option('--json', 'print the result as JSON')
    .action(async (options: RehearseOptions, command: Command) => {
      const sinceMs = Date.now() - momentOption('--since', options.since)
      const { AppError } = await import('../../core/error.ts')
      if (sinceMs <= 0) throw new AppError('usage', `--since ${options.since}: that is not in the past`)
      const settings = await loadSettings(command, io)
      const { rehearse } = await import('../../daemon/rehearse.ts')
      const { secretReader } = await import('../../config/secret.ts')
      const report = await run(io, (onStep) => rehearse(settings, secretReader(io.env), { sinceMs, onStep }))
      if (options.out !== undefined) await writePage(io, options.out, report)
      if (options.json === true) printData(io, (await import('../rehearsal-json.ts')).rehearsalJson(report))
      else await printReport(io, report)
    })
}

async function run<T>(io: CliIo, work: (onStep: (text: string) => void) => Promise<T>): Promise<T> {
  using line = progress(io)
  return await work((text) => line.step(text))
}

async function writePage(io: CliIo, out: string, report: RehearsalReport): Promise<void> {
  const { default: path } = await import('node:path')
  const { rehearsalPage } = await import('../../daemon/rehearsal-page.ts')
  const { writeWhole } = await import('../../daemon/private-file.ts')
  const file = path.resolve(io.cwd, out)
  // It names people: for its writer and his group alone.
  writeWhole({ path: file, text: rehearsalPage(report), mode: 0o640, owner: null, replace: true })
  note(io, `wrote ${file}`)
}

async function printReport(io: CliIo, report: RehearsalReport): Promise<void> {
  const { durationText, endText, fateText, isWritten, localTime, WINDOW_NAMES, zoneText } =
    await import('../../daemon/rehearsal-page.ts')
  const { span } = await import('../../core/duration.ts')
  const { RATE_WINDOWS, breakerText } = await import('../../core/rehearsal-report.ts')
  const { locks, rates, breaker } = report
  const rows = locks.slice(0, SHOWN_MAX)
  if (rows.length > 0) {
    printTable(io, rows, [
      { title: 'login', value: (lock) => `${lock.login}${lock.realm === null ? '' : `@${lock.realm}`}`, shrinks: true },
      { title: 'from', value: (lock) => localTime(lock.fromMs) },
      { title: 'to', value: (lock) => endText(lock) },
      { title: 'for', value: durationText, align: 'right' },
      { title: 'tokens', value: (lock) => lock.serials.join(', '), shrinks: true },
      { title: 'how known', value: (lock) => (lock.isConfirmed ? 'said' : 'counted') },
      { title: 'account', value: fateText, shrinks: true },
    ])
    if (locks.length > rows.length) print(io, `… and ${locks.length - rows.length} more (--json, --out)`)
    print(io, '')
  }
  const written = locks.filter(isWritten).length
  const spared = locks.filter((lock) => lock.fate === 'protected').length
  const from = `${localTime(report.sinceMs)} to ${localTime(report.untilMs)} (${zoneText(report.zoneMs)})`
  print(io, plain(`privacyIDEA ${report.version}, ${from}, ${counted(report.rows, 'row')}`))
  print(
    io,
    `${counted(written, 'lock')}, ${report.lockedAtOnce.count} at once at most; ${spared} of protected accounts held back`,
  )
  for (const { name } of RATE_WINDOWS) {
    const { count, fromMs } = rates[name]
    print(io, `  ${count} within ${WINDOW_NAMES[name]}${fromMs === null ? '' : `, from ${localTime(fromMs)}`}`)
  }
  print(io, `guards.breaker: ${breakerText(breaker)}`)
  for (const { dayMs, exceeded } of breaker.daysStopped.slice(0, SHOWN_MAX)) {
    print(
      io,
      `  it would have stopped ${localTime(dayMs).slice(0, 10)}: ${exceeded.count} within ${span(exceeded.perMs)}`,
    )
  }
  print(io, 'What this cannot tell:')
  for (const text of report.caveats) print(io, `  - ${plain(text)}`)
}
