import { counted } from '../../../core/format/counted.ts'
import type { Command } from 'commander'
import type { RehearsalReport } from '../../../operations/rehearsal/rehearse.ts'
import type { CliIo } from '../../terminal/io.ts'
import { machineZone, moment } from '../../terminal/moment.ts'
import { momentOption, type Flags, type Given, type Texts } from '../../terminal/options.ts'
import { note, plain, print, printData, printTable, printText, withProgress } from '../../terminal/output.ts'
import { loadSettings } from '../../process/settings.ts'

type RehearseOptions = Given<'since'> & Texts<'out'> & Flags<'json'>

/** Locks in the table at most; --json and the page have more. */
const SHOWN_MAX = 50

export function register(program: Command, io: CliIo): void {
  program
    .command('rehearse')
    .description("replay privacyIDEA's audit log: who would have been locked, and how fast; changes nothing")
    .option('--since <time>', "from when: an age such as 90d, or a time such as '24 Nov 14:32'", '90d')
    .option('--out <file>', 'also write a page with a chart, as in rehearsal.html')
    .option('--json', 'print the result as JSON')
    .action(async (options: RehearseOptions, command: Command) => {
      const sinceMs = Date.now() - momentOption('--since', options.since)
      const { AppError } = await import('../../../core/error.ts')
      if (sinceMs <= 0) throw new AppError('usage', `--since ${options.since}: that is not in the past`)
      const settings = await loadSettings(command, io)
      const page = options.out === undefined ? null : await pageFile(io, options.out)
      const { rehearse } = await import('../../../operations/rehearsal/rehearse.ts')
      const { secretReader } = await import('../../../config/secret.ts')
      const report = await withProgress(io, (onStep) => rehearse(settings, secretReader(io.env), { sinceMs, onStep }))
      if (page !== null) await writePage(io, page, report)
      if (options.json === true) printData(io, (await import('../../texts/rehearsal-json.ts')).rehearsalJson(report))
      else await printReport(io, report, command.optsWithGlobals<{ utc?: boolean }>().utc === true)
    })
}

/** The path of the page. A failure to write it is found before the audit log is read, which may take long. */
async function pageFile(io: CliIo, out: string): Promise<string> {
  const { default: path } = await import('node:path')
  const { tryWhole } = await import('../../../app/private-file.ts')
  const file = path.resolve(io.cwd, out)
  tryWhole(file)
  return file
}

async function writePage(io: CliIo, file: string, report: RehearsalReport): Promise<void> {
  const { rehearsalPage } = await import('../../../operations/rehearsal/rehearsal-page.ts')
  const { writeWhole } = await import('../../../app/private-file.ts')
  // It names people: readable by its writer and their group only.
  writeWhole({ path: file, text: rehearsalPage(report), mode: 0o640, owner: null, replace: true })
  note(io, `wrote ${file}`)
}

/** How the times of a report are shown. */
interface Times {
  readonly text: (ms: number) => string
  readonly zone: string
}

/**
 * On a terminal, and with `--utc`, as everywhere else. Through a pipe, and where privacyIDEA's zone is not known, as in
 * its audit log.
 */
async function timesOf({ zoneMs }: RehearsalReport, io: CliIo, isUtc: boolean): Promise<Times> {
  const { localTime, zoneText } = await import('../../../operations/rehearsal/rehearsal-page.ts')
  if (zoneMs === null || !(io.stdout.isTTY || isUtc)) return { text: localTime, zone: zoneText(zoneMs) }
  const text = (ms: number): string => (isUtc ? new Date(ms - zoneMs).toISOString() : moment(ms - zoneMs))
  return { text, zone: isUtc ? 'UTC' : `times of this machine, ${machineZone()}` }
}

async function printLocks(io: CliIo, { locks }: RehearsalReport, time: Times['text']): Promise<void> {
  const { durationText, endText, fateText, LEGEND } = await import('../../../operations/rehearsal/rehearsal-page.ts')
  const rows = locks.slice(0, SHOWN_MAX)
  if (rows.length === 0) return
  printTable(io, rows, [
    { title: 'login', value: (lock) => `${lock.login}${lock.realm === null ? '' : `@${lock.realm}`}` },
    { title: 'from', value: (lock) => time(lock.fromMs), align: 'right' },
    { title: 'to', value: (lock) => endText(lock, time), align: 'right' },
    { title: 'for', value: durationText, align: 'right' },
    { title: 'tokens', value: (lock) => lock.serials.join(', '), movesBelow: true },
    { title: 'how known', value: (lock) => (lock.isConfirmed ? 'said' : 'counted') },
    { title: 'note', value: fateText, movesBelow: true },
  ])
  if (locks.length > rows.length) printText(io, `… and ${locks.length - rows.length} more (--json, --out)`)
  printText(io, LEGEND)
  print(io, '')
}

async function printReport(io: CliIo, report: RehearsalReport, isUtc: boolean): Promise<void> {
  const { isWritten, localTime, WINDOW_NAMES } = await import('../../../operations/rehearsal/rehearsal-page.ts')
  const { span } = await import('../../../core/format/duration.ts')
  const { RATE_WINDOWS, breakerLines } = await import('../../../core/source/rehearsal-report.ts')
  const { locks, rates, breaker } = report
  const { text: time, zone } = await timesOf(report, io, isUtc)
  await printLocks(io, report, time)
  const written = locks.filter(isWritten).length
  const spared = locks.filter((lock) => lock.fate === 'protected').length
  const from = `${time(report.sinceMs)} to ${time(report.untilMs)} (${zone})`
  printText(io, plain(`privacyIDEA ${report.version}, ${from}, ${counted(report.rows, 'row')}`))
  printText(
    io,
    `${counted(written, 'lock')}, ${report.lockedAtOnce.count} at once at most; ${spared} of protected accounts held back`,
  )
  for (const { name } of RATE_WINDOWS) {
    const { count, fromMs } = rates[name]
    printText(io, `  ${count} within ${WINDOW_NAMES[name]}${fromMs === null ? '' : `, from ${time(fromMs)}`}`)
  }
  printText(io, 'For the configuration file:')
  print(io, `\n${breakerLines(breaker)}\n\n`)
  for (const { dayMs, exceeded } of breaker.daysStopped.slice(0, SHOWN_MAX)) {
    const day = localTime(dayMs).slice(0, 10)
    printText(io, `The breaker would have stopped ${day}: ${exceeded.count} within ${span(exceeded.perMs)}`)
  }
  printText(io, 'What this does not show:')
  for (const text of report.caveats) printText(io, `  - ${plain(text)}`)
}
