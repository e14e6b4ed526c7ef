import type { AccountKey, DirectoryName, Serial } from '../../core/names.ts'
import type { Reason } from '../../core/reasons/reason.ts'
import { serialKey, spelledAmong } from '../../core/serials/serial-key.ts'
import { serialsIn } from '../../core/account/serial-values.ts'
import { NOTHING_OF_OURS, type ObservedState } from '../../core/account/state.ts'
import { deriveEvents } from '../../core/source/snapshot.ts'
import type { RecordedAccount } from '../../ports/store/resync.ts'
import type { Loss } from '../../ports/store/store.ts'
import type { ResyncPorts, ResyncRun, UnownedMark } from './resync-ports.ts'
import { checkMarks, nameOf, Owners } from './resync-tokens.ts'

/**
 * The marks in one directory that the record does not place there. Those of this store are removed, and
 * not more at once than resync.shrinkLimit allows of all marks there. All others belong to somebody else: they are
 * left, and are a finding until a person adopts them or they are gone.
 */

/** Marks of a directory that a run removes at most; the next one goes on. */
const REMOVED_MAX = 10_000
/** Accounts that are remembered as locked when the directory was first read. */
const LOCKED_BEFORE_MAX = 10_000
/** Named in the finding. */
const FIRST_MAX = 5

export const NOT_ON_RECORD: RecordedAccount = { serials: [], ours: NOTHING_OF_OURS, holdCount: 0, standing: '' }

export function carriedBy(observed: ObservedState): Serial[] {
  return serialsIn(observed.serialFormat, observed.serialAttributeMultiValued, observed.serialValues)
}

interface Stray extends UnownedMark {
  readonly serial: Serial
  /** Null: the token is somebody else's. */
  readonly loss: Loss['cause'] | null
}

type Found = Omit<Stray, 'why' | 'loss'>

type Recorded = ReadonlyMap<AccountKey, RecordedAccount>

export class DirectoryMarks {
  readonly #run: ResyncRun
  readonly #directory: DirectoryName
  readonly #atUs: number
  /** Null: this store reads the directory for the first time. */
  readonly #lockedBefore: ReadonlySet<AccountKey> | null
  readonly #lockedNow: AccountKey[] = []
  readonly #ours: Stray[] = []
  #going = 0
  #carried = 0
  #unowned = { serials: 0, locks: 0, first: [] as string[] }

  private constructor(run: ResyncRun, directory: DirectoryName, lockedBefore: readonly AccountKey[] | null) {
    this.#run = run
    this.#directory = directory
    this.#lockedBefore = lockedBefore === null ? null : new Set(lockedBefore)
    // Every later reading of these accounts is newer.
    this.#atUs = run.ports.clock.nowMs() * 1000
  }

  static async begin(run: ResyncRun, directory: DirectoryName): Promise<DirectoryMarks> {
    return new DirectoryMarks(run, directory, await run.ports.authorship.lockedBefore(directory))
  }

  /** Fails with `source-*`, `directory-*`. */
  async compare(accounts: readonly ObservedState[], recorded: Recorded): Promise<void> {
    const { ports } = this.#run
    for (const observed of accounts) this.#carried += carriedBy(observed).length
    this.#compareLocks(accounts, recorded)
    const strays = await straysFrom(this.#run, straysOf(this.#run, accounts, recorded))
    if (strays.length === 0) return
    const authored = await ports.authorship.serialsAt([...new Set(strays.map(({ key }) => key))])
    const isOurs = ({ key, serial }: Stray): boolean =>
      !this.#run.isOtherSource && authored.get(key)?.has(serialKey(serial)) === true
    const ours = strays.filter(isOurs)
    this.#going += ours.length
    this.#ours.push(...ours.slice(0, REMOVED_MAX - this.#ours.length))
    this.#leave(strays.filter((stray) => !isOurs(stray)))
  }

  /**
   * A lock with our value that was there before this store first read the directory, at an account that has to do with
   * tokens. One that came later is an administrator’s.
   */
  #compareLocks(accounts: readonly ObservedState[], recorded: Recorded): void {
    const why: Reason = { code: 'lock-before-store', params: {} }
    for (const observed of accounts) {
      const { key, dn, lock } = observed
      const { ours, serials } = recorded.get(key) ?? NOT_ON_RECORD
      if (lock.state !== 'as-ours' || ours.lock !== null) continue
      if (this.#lockedBefore?.has(key) === false || this.#lockedNow.length >= LOCKED_BEFORE_MAX) continue
      this.#lockedNow.push(key)
      if (carriedBy(observed).length + serials.length > 0) this.#leave([{ key, dn, serial: null, why }])
    }
  }

  #leave(marks: readonly UnownedMark[]): void {
    this.#run.leaveMarks(marks)
    for (const { serial, dn } of marks) {
      this.#unowned[serial === null ? 'locks' : 'serials']++
      if (this.#unowned.first.length < FIRST_MAX) this.#unowned.first.push(`${serial ?? 'the lock'} of ${dn}`)
    }
  }

  /** After the whole directory. Fails with `source-shrunk`: nothing was removed from it. */
  async end(): Promise<void> {
    const { ports, options } = this.#run
    await this.#report()
    checkMarks(this.#run, this.#directory, this.#going, this.#carried)
    for (const stray of this.#ours) {
      if (!options.isDryRun && (await this.#isLossHeld(stray))) continue
      const { dn, serial, why } = stray
      this.#run.notify({ account: dn, serial, now: 'carried', should: 'not carried', why })
      if (!options.isDryRun) await takeBack(ports, stray, this.#atUs)
    }
  }

  /** A serial of ours whose token is nobody's: many at once are a mass loss, not a repair, unless a person agrees. */
  async #isLossHeld({ key, dn, serial, loss }: Stray): Promise<boolean> {
    const { ports, options } = this.#run
    if (loss === null || options.acceptsDrop === true || options.acceptsMarks === true) return false
    const { waiting, dismissed } = await ports.snapshots.passLosses(key, [{ serial, cause: loss }], null)
    if (waiting.length + dismissed.length === 0) return false
    await ports.snapshots.markForRefresh([{ key, dn, login: null, realm: null }])
    return true
  }

  async #report(): Promise<void> {
    const { ports, options } = this.#run
    if (options.isDryRun) return
    const subject = this.#directory
    const before = this.#lockedBefore
    if (before === null || before.size !== this.#lockedNow.length) {
      await ports.authorship.setLockedBefore(subject, this.#lockedNow)
    }
    const params = this.#unowned
    if (params.serials + params.locks === 0) await ports.findings.end('unowned-marks', subject)
    else await ports.findings.raise({ subject, reason: { code: 'unowned-marks', params } })
  }
}

function straysOf(run: ResyncRun, accounts: readonly ObservedState[], recorded: Recorded): Found[] {
  return accounts.flatMap((observed) => {
    const { key, dn } = observed
    const own = recorded.get(key)?.serials ?? []
    return carriedBy(observed)
      .filter((serial) => spelledAmong(own, serial) === null && !run.isAnnounced(serial, key))
      .map((serial) => ({ serial, key, dn }))
  })
}

/** Serials on accounts that do not have them by the record: privacyIDEA decides whose they are. */
async function straysFrom(run: ResyncRun, strays: readonly Found[]): Promise<Stray[]> {
  if (strays.length === 0) return []
  const { ports } = run
  const tokens = await ports.source.tokensBySerial(strays.map(({ serial }) => serial))
  const listed = tokens.map((token) => token.serial)
  const users = tokens.flatMap(({ owner }) => (owner.kind === 'user' ? [owner] : []))
  const finder = new Owners(ports)
  const places = await finder.placesOf(users)
  return strays.flatMap((stray) => {
    const spelled = spelledAmong(listed, stray.serial)
    const owner = tokens.find((token) => token.serial === spelled)?.owner
    if (owner !== undefined && owner.kind !== 'user' && owner.kind !== 'none') return []
    const place = owner?.kind === 'user' ? places.get(nameOf(owner)) : null
    if (place === undefined || place?.kind === 'silent' || place?.kind === 'excluded') return []
    // A realm that is missing in the configuration, or a login of several, is no reason to remove anything.
    if (place?.kind === 'unplaced' && place.cause !== 'no-account') return []
    if (place?.kind === 'account' && place.account.key === stray.key) return []
    const code = owner === undefined ? 'token-unknown' : 'token-of-another-account'
    const why: Reason = { code, params: { serial: stray.serial } }
    const loss = owner === undefined ? 'not-listed' : owner.kind === 'none' ? 'no-owner' : null
    return [{ ...stray, why, loss }]
  })
}

async function takeBack(ports: ResyncPorts, { serial, key, dn, why }: Stray, atUs: number): Promise<void> {
  await ports.snapshots.markForRefresh([{ key, dn, login: null, realm: null }])
  const before = { tokens: [{ serial, isLocked: false }], lockout: null }
  const snapshot = { tokens: [], gone: [serial], lockout: 'unknown' as const }
  const events = deriveEvents(key, before, snapshot, atUs, () => ports.newId()).map((event) => ({
    ...event,
    reason: why,
  }))
  await ports.snapshots.record(key, { user: null, snapshot, reset: [], events }, null)
}
