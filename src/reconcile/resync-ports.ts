import type { AccountKey, DirectoryName, Serial } from '../core/names.ts'
import { SeenSet } from '../core/seen-set.ts'
import type { PolicySettings, ResyncSettings } from '../core/settings.ts'
import type { DirectoryPort } from '../ports/directory.ts'
import type { ResyncRecordPort } from '../ports/resync.ts'
import type { DesiredPort } from '../ports/store.ts'
import type { TruthPorts } from './truth.ts'

/** What a full resync works with, what it tells, and what its parts share while it runs. */

export interface ResyncPorts extends TruthPorts {
  readonly directory: Pick<DirectoryPort, 'findByUser' | 'findByUsers' | 'walkMarked' | 'observe' | 'names'>
  readonly record: ResyncRecordPort
  readonly desired: DesiredPort
  readonly resync: ResyncSettings
  readonly policy: PolicySettings
}

/** One difference: what stands there, what should, and why. */
export interface Drift {
  /** The account's DN, or its key where that is not known. */
  readonly account: string
  /** Null: it is about the account as a whole. */
  readonly serial: Serial | null
  readonly now: string
  readonly should: string
  readonly why: string
}

/** A directory that was left alone, and why. */
export interface LeftAlone {
  readonly directory: DirectoryName
  readonly code: string
  readonly reason: string
}

export interface ResyncReport {
  readonly tokens: number
  readonly accounts: number
  /** How many differences there were; `drift` holds the first of them. */
  readonly differences: number
  readonly drift: readonly Drift[]
  readonly left: readonly LeftAlone[]
}

/** How far it is. `inAll` is what there is to do, as far as it is known. */
export interface ResyncStep {
  readonly phase: 'tokens' | 'accounts'
  /** Where accounts are compared: of which directory. */
  readonly directory: DirectoryName | null
  readonly done: number
  readonly inAll: number
}

export interface ResyncOptions {
  /** Tells what differs, and marks nobody. */
  readonly isDryRun: boolean
  /** A person says that privacyIDEA really has so much less. */
  readonly acceptsDrop?: boolean
  onProgress?(step: ResyncStep): void
}

const DRIFT_MAX = 10_000

/** What the parts of one run share. */
export class ResyncRun {
  readonly ports: ResyncPorts
  readonly options: ResyncOptions
  readonly number: number
  /** Tokens that this run has brought to their account, each with it: no stray stands there. */
  readonly #announced: SeenSet
  readonly #drift: Drift[] = []
  readonly #left: LeftAlone[] = []
  #tokens = 0
  #accounts = 0
  #differences = 0

  constructor(ports: ResyncPorts, options: ResyncOptions, number: number) {
    this.ports = ports
    this.options = options
    this.number = number
    this.#announced = this.newSet()
  }

  newSet(): SeenSet {
    return new SeenSet(Math.floor(this.ports.clock.random() * 2 ** 32))
  }

  tell(drift: Drift): void {
    this.#differences++
    if (this.#drift.length < DRIFT_MAX) this.#drift.push(drift)
  }

  leave(left: LeftAlone): void {
    this.#left.push(left)
  }

  announce(serial: Serial, key: AccountKey): void {
    this.#announced.add(`${serial} ${key}`)
  }

  isAnnounced(serial: Serial, key: AccountKey): boolean {
    return this.#announced.size > 0 && this.#announced.has(`${serial} ${key}`)
  }

  sawTokens(count: number, inAll: number): void {
    this.#tokens += count
    this.options.onProgress?.({ phase: 'tokens', directory: null, done: this.#tokens, inAll })
  }

  sawAccounts(count: number, directory: DirectoryName, done: number, inAll: number): void {
    this.#accounts += count
    this.options.onProgress?.({ phase: 'accounts', directory, done, inAll })
  }

  report(): ResyncReport {
    return {
      tokens: this.#tokens,
      accounts: this.#accounts,
      differences: this.#differences,
      drift: this.#drift,
      left: this.#left,
    }
  }
}
