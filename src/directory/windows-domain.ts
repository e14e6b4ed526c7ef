import { PresenceFilter } from 'ldapts'
import { AppError } from '../core/error.ts'
import type { DirectorySettings } from '../core/settings.ts'
import type { Clock } from '../ports/clock.ts'
import type { Reads } from './pool.ts'
import { resultCodeOf } from './result-code.ts'
import { namingContextOf, textsOf, type ServerFacts } from './server-facts.ts'
import { parseTimeSpan } from './windows-time.ts'

/** What the domain's own entry says about its lockout after wrong passwords. */
export interface DomainView {
  /** Infinity: until an administrator ends it; null: it could not be read. */
  readonly lockoutDurationMs: number | null
}

const UNKNOWN: DomainView = { lockoutDurationMs: null }

/** Reads the domain's settings, once for all that wait. */
export class DomainReader {
  readonly #pool: Reads
  readonly #clock: Clock
  readonly #settings: Pick<DirectorySettings, 'base'>
  #view: DomainView | null = null
  #atMs = 0
  #reading: Promise<DomainView> | null = null

  constructor(pool: Reads, clock: Clock, settings: Pick<DirectorySettings, 'base'>) {
    this.#pool = pool
    this.#clock = clock
    this.#settings = settings
  }

  /** What was read at most so long ago, and not before a time; else null. */
  kept(maxAgeMs: number, notBeforeMs: number): DomainView | null {
    const ageMs = this.#clock.nowMs() - this.#atMs
    return ageMs >= 0 && ageMs < maxAgeMs && this.#atMs >= notBeforeMs ? this.#view : null
  }

  read(facts: ServerFacts): Promise<DomainView> {
    this.#reading ??= this.#load(facts).finally(() => (this.#reading = null))
    return this.#reading
  }

  async #load(facts: ServerFacts): Promise<DomainView> {
    const atMs = this.#clock.nowMs()
    const domain = namingContextOf(facts, this.#settings.base)
    this.#view = domain === null ? UNKNOWN : await this.#loadFrom(domain)
    this.#atMs = atMs
    return this.#view
  }

  async #loadFrom(domain: string): Promise<DomainView> {
    const filter = new PresenceFilter({ attribute: 'objectClass' })
    const attributes = ['lockoutDuration']
    const request = { base: domain, scope: 'base' as const, filter, attributes, bytesOf: [], sizeMax: 1 }
    try {
      const [entry] = await this.#pool.read((connection) => connection.search(request))
      return { lockoutDurationMs: parseTimeSpan(textsOf(entry ?? null, 'lockoutDuration')[0] ?? null) }
    } catch (error) {
      if (error instanceof AppError && resultCodeOf(error.cause) !== null && UNREADABLE.has(error.code)) return UNKNOWN
      throw error
    }
  }
}

const UNREADABLE: ReadonlySet<string> = new Set([
  'entry-not-found',
  'directory-not-permitted',
  'directory-refused',
  'directory-cut',
])
