import { resolve } from 'node:path'
import type { Command } from 'commander'
import { toAppError } from '../../core/error.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { pluginResult, unknownResult, type PluginResult } from '../../core/health/monitoring.ts'
import type { HealthReport } from '../../core/health/health-file.ts'
import { isDenied, systemRefusal } from '../../core/system-error.ts'
import { pidNamespace, readHealthReport, storeMark, takeHealthReport } from '../../app/health/health-report.ts'
import { runningOf } from '../../app/running-beside.ts'
import { systemHealthFile } from '../../config/build.ts'
import { lookForConfig, placesOf } from '../../config/load.ts'
import type { CliIo } from '../terminal/io.ts'
import { print, printData } from '../terminal/output.ts'
import { configFlag, loadConfigFor } from '../process/settings.ts'
import { whoseBarrier } from '../process/who-may.ts'

/**
 * `lockstep status --check`: the health file as a monitoring plugin. Any user may run it, without access to the
 * configuration or the store.
 */
export async function runStatusCheck(
  options: { readonly healthFile?: string; readonly json?: boolean },
  command: Command,
  io: CliIo,
): Promise<void> {
  const result = await checked(options.healthFile, command, io)
  io.exitCode = result.exit
  const { exit, line } = result
  const trouble = { code: 'not-fit', message: line, hint: 'lockstep status shows more.' } as const
  if (options.json === true) printData(io, { exit, line }, exit === 0 ? null : trouble)
  else print(io, line)
}

async function checked(named: string | undefined, command: Command, io: CliIo): Promise<PluginResult> {
  try {
    const place = await whereItIs(named, command, io)
    const { files, store, mistake, aside } = place
    const file = files.find((each) => readHealthReport(each) !== null) ?? files[0] ?? systemHealthFile
    const found = reportIn(file)
    if (typeof found === 'string') return unknownResult(`${found}${aside === '' ? '' : `; ${aside}`}`)
    if (store !== null && found.store !== store) return unknownResult(`${file} is about another store`)
    return pluginResult(found, Date.now(), isGone(found.pid, found.pidNamespace), mistake)
  } catch (thrown) {
    return unknownResult(toAppError(thrown).message)
  }
}

/** The report, or why there is none. */
function reportIn(file: string): HealthReport | string {
  try {
    return takeHealthReport(file) ?? `${file} holds no report of this version of Lockstep (key health.file)`
  } catch (thrown) {
    if (isDenied(thrown)) {
      const barrier = whoseBarrier(thrown)
      const why = barrier === null ? '' : `: ${barrier}`
      return `the report ${file} may not be read by this user${why}; health.file can name a place that every user reaches`
    }
    const { errno, why } = systemRefusal(thrown)
    return ['ENOENT', 'ENOTDIR'].includes(errno)
      ? `no report in ${file}: no daemon has written one there (key health.file)`
      : `the report ${file} cannot be read: ${why} (${errno})`
  }
}

interface Place {
  /** The first that has a report counts. */
  readonly files: readonly string[]
  /** Null: of any store. */
  readonly store: string | null
  /** The mistake in the configuration; null: none, or not known. */
  readonly mistake: string | null
  /** Additional text where there is no report, or ''. */
  readonly aside: string
}

/**
 * Where the configuration may not be read, the place is the unit's default; a configuration with a mistake still has
 * the place.
 */
async function whereItIs(named: string | undefined, command: Command, io: CliIo): Promise<Place> {
  if (named !== undefined) return { files: [resolve(io.cwd, named)], store: null, mistake: null, aside: '' }
  try {
    const { settings } = await loadConfigFor(command, io)
    const { health, store } = (await runningElsewhere(settings)) ?? settings
    return { files: [health.file], store: storeMark(store.file), mistake: null, aside: '' }
  } catch (thrown) {
    const { code, message } = toAppError(thrown)
    // The heading, and the first mistake with its line and key.
    const first = message
      .split('\n', 2)
      .map((line) => line.trim())
      .join(' ')
    const file =
      code === 'config-invalid' ? lookForConfig({ flag: configFlag(command), env: io.env, cwd: io.cwd }) : null
    if (file === null) return { files: [systemHealthFile], store: null, mistake: null, aside: first }
    const { store, healthFile } = placesOf(file)
    const running = store === null ? null : runningOf(store)
    // The daemon writes to the place that it loaded, also after a change of the file.
    const files = [running?.settings.health.file, healthFile].filter((each) => each !== null && each !== undefined)
    return { files: [...new Set(files)], store: store === null ? null : storeMark(store), mistake: first, aside: first }
  }
}

/** The daemon's settings where the key store was edited since; null: it was not, or this user may not see that. */
async function runningElsewhere(file: Settings): Promise<Settings | null> {
  const { otherStoreOf } = await import('../../app/store-mark.ts')
  const other = otherStoreOf(file)
  if (other === null) return null
  return runningOf(other.file)?.settings ?? null
}

/** Null: it may run in another namespace of process ids. */
function isGone(pid: number, namespace: string): boolean | null {
  if (namespace === '' || namespace !== pidNamespace()) return null
  try {
    process.kill(pid, 0)
    return false
  } catch (thrown) {
    return !(thrown instanceof Error && 'code' in thrown && thrown.code === 'EPERM')
  }
}
