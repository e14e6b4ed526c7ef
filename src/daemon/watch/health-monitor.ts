import { toAppError } from '../../core/error.ts'
import { isFit, machineReasons, recordedUnfit, type HealthReason, type LiveSigns } from '../../core/health/health.ts'
import { healthReport, type HealthNumbers, type HealthReport } from '../../core/health/health-file.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { Store } from '../../store/store.ts'
import { configReasons, type ConfigFileLook } from '../../app/health/config-reasons.ts'
import { pidNamespace, storeMark, writeHealthReport } from '../../app/health/health-report.ts'
import { readHealth, type HealthSigns } from '../../app/health/health-signs.ts'
import type { LiveMarks } from '../../app/health/live-signs.ts'
import { errorFields, type Log } from '../../app/log.ts'
import { machineSigns } from '../../app/health/machine-signs.ts'

/** The health of the daemon: checked periodically, and written into the health file. */

const LOOK_MS = 10_000
/** Three checks may be missed; with the fourth the daemon counts as gone. */
const VALID_SECONDS = 45
const NO_SIGNS: LiveSigns = { intake: null, store: null, isStoreGone: false }
const STORE_GONE = { code: 'store-gone', params: {} } as const

export interface HealthMonitorOptions {
  /** The present ones: a reload changes them. */
  readonly settings: () => Settings
  readonly store: Store
  readonly marks: LiveMarks
  readonly log: Log
  readonly file: ConfigFileLook
}

export class HealthMonitor implements AsyncDisposable {
  readonly #options: HealthMonitorOptions
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  #isLooking = false
  #toldCode: string | null = null
  #last: { readonly reasons: readonly HealthReason[]; readonly numbers: HealthNumbers } | null = null

  constructor(options: HealthMonitorOptions) {
    this.#options = options
  }

  /** From now on, the first time at once. */
  async start(): Promise<void> {
    await this.#look()
    this.#timer = setInterval(() => {
      if (!this.#isLooking) this.#running = this.#look()
    }, LOOK_MS)
  }

  /** For `/healthz`: the machine as of now, and the record as of the last check. */
  isFit(): boolean {
    const seen = machineReasons(machineSigns(this.#options.settings()), this.#options.marks.signs(), Date.now(), true)
    return isFit([...seen, ...recordedUnfit(this.#last?.reasons ?? [])])
  }

  async #look(): Promise<void> {
    this.#isLooking = true
    try {
      const signs = await readHealth(this.#options.settings(), this.#options.store, this.#options.marks.signs())
      const ofFile = await this.#configReasons()
      this.#last = { reasons: [...ofFile, ...signs.reasons], numbers: numbersOf(signs, this.#options.marks) }
      this.#write('serving', this.#last.reasons)
    } catch (thrown) {
      this.#report(toAppError(thrown).code, 'health could not be looked at', thrown)
    } finally {
      this.#isLooking = false
    }
  }

  async #configReasons(): Promise<HealthReason[]> {
    const reload = (await this.#options.store.running.reload())?.outcome ?? null
    return configReasons({ ...this.#options.file.look(this.#options.settings()), reload }, Date.now())
  }

  #write(state: 'serving' | 'stopped', reasons: readonly HealthReason[]): void {
    if (this.#last === null) return
    const settings = this.#options.settings()
    const report = reportOf(settings, state, VALID_SECONDS, reasons, this.#last.numbers, this.#options.marks.signs())
    const failure = writeHealthReport(settings.health.file, report)
    if (failure === null) this.#toldCode = null
    else this.#report(failure.code, 'the health file could not be written; monitoring finds the daemon gone', failure)
  }

  /** Reports a failure once, until it changes. */
  #report(code: string, message: string, thrown: unknown): void {
    if (this.#toldCode === code) return
    this.#toldCode = code
    this.#options.log.warn(message, errorFields(toAppError(thrown)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
    const notServed = { code: 'not-served', params: { drainedAgoMs: null, servedAgoMs: 0 } } as const
    this.#write('stopped', [...(this.#options.marks.signs().isStoreGone ? [STORE_GONE] : []), notServed])
  }
}

/** For a drain without a daemon beside it: the report is valid until the next drain is overdue. */
export async function reportDrain(settings: Settings, store: Store, log: Log): Promise<void> {
  const signs = await readHealth(settings, store, null)
  if (signs.daemon !== null) return
  const validSeconds = Math.ceil((signs.lastDrain?.recentForMs ?? 0) / 1000)
  const numbers = numbersOf(signs, null)
  const report = reportOf(settings, 'drained', validSeconds, signs.reasons, numbers, NO_SIGNS)
  const failure = writeHealthReport(settings.health.file, report)
  if (failure !== null) log.warn('the health file could not be written', errorFields(failure))
}

function reportOf(
  { store }: Settings,
  state: HealthReport['state'],
  validSeconds: number,
  reasons: readonly HealthReason[],
  numbers: HealthNumbers,
  live: LiveSigns,
): HealthReport {
  const base = {
    state,
    pid: process.pid,
    pidNamespace: pidNamespace(),
    store: storeMark(store.file),
    validSeconds,
    numbers,
  }
  return healthReport(base, reasons, live, Date.now())
}

function numbersOf(signs: HealthSigns, marks: LiveMarks | null): HealthNumbers {
  const nowMs = Date.now()
  const { counts, machine, review, privacyidea } = signs
  const seconds = (ms: number | null): number | null =>
    ms === null ? null : Math.max(0, Math.floor((nowMs - ms) / 1000))
  const free = machine.disks.map(({ freeBytes }) => freeBytes)
  return {
    locked: counts.accountsLockedByUs,
    held: counts.accountsHeld,
    queueDue: counts.queueDue,
    eventsWaiting: counts.eventsWaiting,
    accountsPending: counts.accountsUnsettled,
    review: review.waiting,
    spoolFiles: machine.spool.files,
    spoolOldestSeconds: seconds(machine.spool.oldestMs) ?? 0,
    freeBytes: free.length === 0 ? null : Math.min(...free),
    lastFailedIntakeSeconds: seconds(marks?.lastFailedIntakeMs ?? null),
    lastFailedWriteSeconds: seconds(marks?.lastFailedWriteMs ?? null),
    sourceReadSeconds: seconds(privacyidea?.scan.doneMs ?? null),
  }
}
