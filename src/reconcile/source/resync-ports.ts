import type { AccountKey, DirectoryName, Dn, Serial } from '../../core/names.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import { SeenSet } from '../../core/seen-set.ts'
import type { PolicySettings, ResyncSettings } from '../../core/settings/settings.ts'
import type { AuthorshipPort } from '../../ports/store/authorship.ts'
import type { DirectoryPort } from '../../ports/directory.ts'
import type { FindingPort } from '../../ports/store/finding.ts'
import type { ResyncRecordPort } from '../../ports/store/resync.ts'
import type { DesiredPort } from '../../ports/store/store.ts'
import type { UnplacedToken } from '../../core/reasons/unplaced.ts'
import type { OddToken } from '../../ports/privacyidea.ts'
import { TokenMarks, type SourceCheck } from './source-identity.ts'
import type { SnapshotPorts } from './snapshot.ts'

/** The input of a full resync, its report, and what its parts share while it runs. */

export interface ResyncPorts extends SnapshotPorts {
  readonly directory: Pick<DirectoryPort, 'findByUser' | 'findByUsers' | 'walkMarked' | 'observe' | 'names'>
  readonly check: SourceCheck
  readonly authorship: AuthorshipPort
  readonly record: ResyncRecordPort
  readonly desired: DesiredPort
  readonly findings: Pick<FindingPort, 'raise' | 'end' | 'sync'>
  readonly resync: ResyncSettings
  readonly policy: PolicySettings
}

/** One difference: the observed, the desired, and why. */
export interface Drift {
  /** The account's DN, or its key where that is not known. */
  readonly account: string
  /** Null: it is about the account as a whole. */
  readonly serial: Serial | null
  readonly now: string
  readonly should: string
  readonly why: Reason
}

/** A mark in a directory that this store did not make: a serial, or (`serial` null) a lock with our value. */
export interface UnownedMark {
  readonly key: AccountKey
  readonly dn: Dn
  readonly serial: Serial | null
  readonly why: Reason
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
  /** Marks that were left since this store did not make them; the first of them. */
  readonly unowned: readonly UnownedMark[]
  /** Another privacyIDEA answers than the one on record: nothing that it does not show was removed or unlocked. */
  readonly isOtherSource: boolean
}

/** The progress. `inAll` is the total, as far as it is known. */
export interface ResyncStep {
  readonly phase: 'tokens' | 'accounts'
  /** Where accounts are compared: of which directory. */
  readonly directory: DirectoryName | null
  readonly done: number
  readonly inAll: number
}

export interface ResyncOptions {
  /** Reports the differences, and marks no account. */
  readonly isDryRun: boolean
  /** A person states that privacyIDEA really has so much less. */
  readonly acceptsDrop?: boolean
  /** A person has seen which marks are removed from the directories. */
  readonly acceptsMarks?: boolean
  onProgress?(step: ResyncStep): void
}

const DRIFT_MAX = 10_000
/** Tokens without an account that a run puts on record, besides those that are full. */
const UNPLACED_MAX = 10_000
const ODD_NAMES_MAX = 5

/** What the parts of one run share. */
export class ResyncRun {
  readonly ports: ResyncPorts
  readonly options: ResyncOptions
  readonly number: number
  /** Tokens that this run has brought to their account, each with it: they are no stray there. */
  readonly #announced: SeenSet
  readonly #drift: Drift[] = []
  readonly #left: LeftAlone[] = []
  readonly #unowned: UnownedMark[] = []
  readonly marks = new TokenMarks()
  isOtherSource = false
  #tokens = 0
  #accounts = 0
  #differences = 0
  #unplaced = 0
  readonly #odd: { count: number; readonly first: OddToken[] } = { count: 0, first: [] }

  constructor(ports: ResyncPorts, options: ResyncOptions, number: number) {
    this.ports = ports
    this.options = options
    this.number = number
    this.#announced = this.newSet()
  }

  newSet(): SeenSet {
    return new SeenSet(Math.floor(this.ports.clock.random() * 2 ** 32))
  }

  readonly notify = (drift: Drift): void => {
    this.#differences++
    if (this.#drift.length < DRIFT_MAX) this.#drift.push(drift)
  }

  leave(left: LeftAlone): void {
    this.#left.push(left)
  }

  /** Rows among privacyIDEA's tokens that are no tokens. */
  sawOdd(odd: readonly OddToken[]): void {
    this.#odd.count += odd.length
    for (const each of odd) if (this.#odd.first.length < ODD_NAMES_MAX) this.#odd.first.push(each)
  }

  get odd(): { readonly count: number; readonly first: readonly OddToken[] } {
    return this.#odd
  }

  /** Their owners have no account. All full ones go on record, and others up to a number. */
  async isUnplaced(tokens: readonly UnplacedToken[]): Promise<void> {
    if (tokens.length === 0 || this.options.isDryRun) return
    const staged = tokens.filter(({ isFull }) => isFull || this.#unplaced < UNPLACED_MAX)
    this.#unplaced += staged.length
    await this.ports.unplaced.stage(this.number, staged)
  }

  /** Notes whether another privacyIDEA answers than the one on record; once it did, it is not asked again. */
  async askWhoAnswers(): Promise<boolean> {
    this.isOtherSource ||= await this.ports.check.isOther(0)
    return this.isOtherSource
  }

  leaveMarks(marks: readonly UnownedMark[]): void {
    const reported = marks.slice(0, DRIFT_MAX - this.#unowned.length)
    this.#unowned.push(...reported.map(({ key, dn, serial, why }) => ({ key, dn, serial, why })))
  }

  announce(serial: Serial, key: AccountKey): void {
    this.#announced.add(`${serialKey(serial)} ${key}`)
  }

  isAnnounced(serial: Serial, key: AccountKey): boolean {
    return this.#announced.size > 0 && this.#announced.has(`${serialKey(serial)} ${key}`)
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
      unowned: this.#unowned,
      isOtherSource: this.isOtherSource,
    }
  }
}
