import { toAppError } from '../core/error.ts'
import { errorFields, type Log } from './log.ts'
import type { System } from './system.ts'

/** Looks once for all that ask within this time. */
const GATHER_MS = 50

/** Tells what nobody was told of yet, a line a finding. Another process may have told it meanwhile. */
export class FindingNotifier {
  readonly #store: System['store']
  readonly #log: Log
  #timer: NodeJS.Timeout | null = null

  constructor({ store }: Pick<System, 'store'>, log: Log) {
    this.#store = store
    this.#log = log
  }

  /** There may be one; costs nothing while a look is due anyway. */
  soon(): void {
    this.#timer ??= setTimeout(() => void this.now(), GATHER_MS)
  }

  /** A process that dies between its line and the record of it leaves the finding to the next one. */
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
      this.#log.error('a finding could not be told', errorFields(toAppError(thrown)))
    }
  }
}

/** Of a finding that is about one directory. */
function directoryIn(params: object | null): { directory?: string } {
  const directory = params !== null && 'directory' in params ? params.directory : undefined
  return typeof directory === 'string' ? { directory } : {}
}
