import { toAppError } from '../core/error.ts'
import { errorFields, type Log } from './log.ts'
import type { System } from './system.ts'

/** One look serves all requests within this time. */
const GATHER_MS = 50

/** Reports findings that were not reported yet, one line a finding. Another process may have reported one meanwhile. */
export class FindingNotifier {
  readonly #store: System['store']
  readonly #log: Log
  #timer: NodeJS.Timeout | null = null

  constructor({ store }: Pick<System, 'store'>, log: Log) {
    this.#store = store
    this.#log = log
  }

  /** Reports soon, where there may be a finding; costs nothing while a look is due anyway. */
  soon(): void {
    this.#timer ??= setTimeout(() => void this.now(), GATHER_MS)
  }

  /** Where a process ends between its line and the record of it, the next process reports the finding again. */
  async now(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    try {
      const findings = await this.#store.findings.untold()
      for (const { kind, params, reason, fix } of findings) {
        this.#log.warn(kind, { ...directoryIn(params), reason, ...(fix === '' ? {} : { fix }) })
      }
      if (findings.length > 0) await this.#store.findings.reported(findings)
    } catch (thrown) {
      this.#log.error('a finding could not be reported', errorFields(toAppError(thrown)))
    }
  }
}

/** Of a finding that is about one directory. */
function directoryIn(params: object | null): { directory?: string } {
  const directory = params !== null && 'directory' in params ? params.directory : undefined
  return typeof directory === 'string' ? { directory } : {}
}
