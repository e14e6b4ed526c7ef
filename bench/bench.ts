import { rmSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { makeTempDir } from '../test/servers/temp-dir.ts'
import { writeToHistory } from './history.ts'
import { recordFileName } from './record.ts'
import { spreadFolders } from './block-groups.ts'
import { measureFlat } from './flat.ts'
import { measureLatency } from './latency.ts'
import { measureProgram } from './program.ts'
import { tableOf, type Report } from './report.ts'
import { FULL, QUICK, workshopIn, type Scale, type Workshop } from './scale.ts'
import { measureResync } from './resync.ts'
import { measureShim } from './shim.ts'
import { measureThroughput } from './throughput.ts'

const MEASURES: Readonly<Record<string, (scale: Scale, workshop: Workshop) => Promise<Report>>> = {
  throughput: measureThroughput,
  latency: measureLatency,
  shim: measureShim,
  program: measureProgram,
  flat: measureFlat,
  resync: measureResync,
}
const NAMES = Object.keys(MEASURES)

const USAGE = `usage: npm run bench [-- --quick] [--only NAME] [--json] [--record RELEASE]

Measures Lockstep, and shell scripts that do the same job with ldapsearch and ldapmodify, on the same slapd.
  --quick       fewer rounds: a minute instead of four
  --only NAME   one measure: ${NAMES.join(', ')}; may be given several times
  --json        the rows as JSON on standard output
  --record RELEASE   keeps the run as bench/history/RELEASE.json; npm run bench:chart draws what is kept
`
const EXIT_MISSED = 1
const EXIT_USAGE = 64
const EXIT_INTERRUPTED = 130
/** Processes that want a processor, on average over a minute: above it the figures tell of the neighbours. */
const QUIET_LOAD_MAX = 0.7

interface Options {
  readonly scale: Scale
  readonly only: readonly string[]
  readonly json: boolean
  /** The release, and the name of the file that keeps the run. */
  readonly record: { readonly name: string; readonly fileName: string } | null
}

function readOptions(): Options | number {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean' },
        only: { type: 'string', multiple: true },
        json: { type: 'boolean' },
        record: { type: 'string' },
        help: { type: 'boolean' },
      },
    })
    if (values.help === true) {
      process.stdout.write(USAGE)
      return 0
    }
    const unknown = (values.only ?? []).find((name) => !NAMES.includes(name))
    if (unknown !== undefined) throw new Error(`there is no measure ${unknown}`)
    const scale = values.quick === true ? QUICK : FULL
    return { scale, only: values.only ?? NAMES, json: values.json === true, record: recordOption(values.record) }
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n${USAGE}`)
    return EXIT_USAGE
  }
}

function recordOption(name: string | undefined): Options['record'] {
  if (name === undefined) return null
  const fileName = recordFileName(name)
  if (fileName === null) throw new Error(`${name} is no name of a release, as 0.1.0`)
  return { name, fileName }
}

function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  const gib = Math.round(totalmem() / 2 ** 30)
  return `${cpus().length} x ${model}, ${gib} GiB, Linux ${release()}, Node ${process.version}`
}

/** On a signal: whoever started a process kills it at exit, and the folder that holds everything goes last. */
function leave(dir: string): never {
  process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }))
  process.exit(EXIT_INTERRUPTED)
}

async function main(): Promise<number> {
  const options = readOptions()
  if (typeof options === 'number') return options
  await using dir = await makeTempDir('bench')
  process.env['TMPDIR'] = dir.path
  await spreadFolders(dir.path)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => leave(dir.path))
  const load = loadavg()[0] ?? 0
  const workshop = workshopIn(dir.path)
  const reports: Report[] = []
  for (const [name, measure] of Object.entries(MEASURES)) {
    if (options.only.includes(name)) reports.push(await measure(options.scale, workshop))
  }
  const rows = reports.flatMap((report) => report.rows)
  const notes = reports.flatMap((report) => report.notes)
  if (load > QUIET_LOAD_MAX)
    notes.push(`NOT QUIET: the load average was ${load.toFixed(1)} at the start; repeat it alone.`)
  const about = { machine: machine(), date: new Date().toISOString().slice(0, 10) }
  if (options.record !== null) {
    const { name, fileName } = options.record
    const scale = options.scale === QUICK ? 'quick' : 'full'
    const kept = { name, ...about, load: { start: load, end: loadavg()[0] ?? 0 }, scale, rows, notes } as const
    process.stderr.write(`kept as ${writeToHistory(fileName, kept)}\n`)
  }
  if (options.json) process.stdout.write(JSON.stringify({ ...about, rows, notes }, null, 2) + '\n')
  else {
    process.stdout.write(`\n${about.machine}; ${about.date}\n\n${tableOf(rows, process.stdout)}\n`)
    for (const note of notes) process.stdout.write(`- ${note}\n`)
  }
  return rows.some((row) => row.pass === false) ? EXIT_MISSED : 0
}

process.exitCode = await main()
