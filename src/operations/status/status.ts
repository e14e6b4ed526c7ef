import { counted } from '../../core/format/counted.ts'
import { dryRunText, type Pause } from '../../core/guards/guard.ts'
import {
  healthGravity,
  healthOf,
  healthText,
  spaceOf,
  type DiskSpace,
  type HealthReason,
  type MachineSigns,
} from '../../core/health/health.ts'
import type { Retirement } from '../../core/settings/retirement.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { UnplacedGroup } from '../../core/reasons/unplaced.ts'
import { configReasons } from '../../app/health/config-reasons.ts'
import { differenceOf, type ConfigDifference } from '../../app/running-beside.ts'
import { readHealth, type HealthSigns } from '../../app/health/health-signs.ts'
import type { MailCounts } from '../../store/mail/mail-reports.ts'
import type { AccountReport } from '../../store/reports/reports.ts'
import type { ReloadOutcome } from '../../store/servers/running-config.ts'
import type { Store } from '../../store/store.ts'

/** The status of everything, in one read of the store; the directory is not read. */

export interface Wait {
  readonly what: 'event' | 'account'
  readonly name: string
  readonly why: string
  /** The reason within `why`; null where there is none. */
  readonly whyCode: string | null
  readonly whyParams: object
  /** Time of the next retry, in milliseconds since 1970; null: none before the next resync. */
  readonly againMs: number | null
  /** The error's code or the account's status. */
  readonly code: string
}

/** The daemon's configuration, compared with the file. */
export interface ConfigurationReport {
  /** The file that was loaded. */
  readonly file: string
  /** In milliseconds since 1970. */
  readonly loadedMs: number
  readonly digest: string
  /** Null: the file has the same content now. */
  readonly difference: ConfigDifference | null
  /** Why the file cannot be read now; null: it can. */
  readonly mistake: string | null
  /** The outcome of the last reload; null: there was none since the start. */
  readonly reload: ReloadOutcome | null
}

export interface StatusReport extends Omit<
  HealthSigns,
  'reasons' | 'isServed' | 'machine' | 'served' | 'lockTroubles'
> {
  /** down: no daemon, and no recent drain. attention: something waits, failed, or a lock is not enforced. */
  readonly health: 'ok' | 'attention' | 'down'
  readonly healthReasons: readonly string[]
  /** The same as codes. */
  readonly healthCodes: readonly (HealthReason & { readonly gravity: 'critical' | 'warning' })[]
  /** Notes for the administrator that are no problem by themselves. */
  readonly notes: readonly string[]
  readonly mode: 'events' | 'api'
  /** Something is on dry run. */
  readonly dryRun: boolean
  /** The parts on dry run, for people; null: none. */
  readonly dryRunOf: string | null
  /** That of all changes, else the first of one directory. */
  readonly paused: Pause | null
  /** Tokens whose owners have no account, by cause; `lockstep owners --unplaced` lists them. */
  readonly unplaced: readonly UnplacedGroup[]
  /** The configuration that the daemon loaded; null: none runs, or one of an older version. */
  readonly configuration: ConfigurationReport | null
  /** Directories that are retired. */
  readonly retired: readonly Retirement[]
  /** Files that wait in the spool; a number past 10,000 is cut there. */
  readonly spoolFiles: number
  /** When the oldest of them came in, in milliseconds since 1970; null: none waits. */
  readonly spoolOldestMs: number | null
  /** The disks that store, LDIF folders and spool lie on. */
  readonly disks: readonly DiskSpace[]
  /** Accounts that are locked or are to be; the first of `lockedCount`. */
  readonly locked: readonly AccountReport[]
  readonly lockedCount: number
  readonly waits: readonly Wait[]
  readonly lockFindingCount: number
}

const LIST_MAX = 20
const MIB = 1024 * 1024

/**
 * Where a daemon runs, everything is reported by its configuration.
 * @param file the content of the file
 * @param mistake why it could not be read, where the daemon's configuration is used instead
 */
export async function readStatus(file: Settings, store: Store, mistake: string | null = null): Promise<StatusReport> {
  const nowMs = Date.now()
  const running = await store.running.read()
  // The record of a daemon of an older version has less.
  const settings = { ...file, ...running?.settings }
  const difference = running === null ? null : differenceOf(running.settings, file)
  const reload = (await store.running.reload())?.outcome ?? null
  const signs = await readHealth(settings, store, null)
  const { counts, daemon, lastDrain, pauses, review, privacyidea, mail, servers, findings, machine } = signs
  const dryRunOf = dryRunText(settings.guards.dryRun)
  const waits = await readWaits(store)
  const approvals = store.reviews.approvalsNeeded
  const unplaced = await store.unplaced.groups()
  const retired = await store.retirements.all()
  const reasons = [
    ...configReasons({ mistake, difference, reload }, nowMs),
    ...signs.reasons,
    ...retired.map(({ directory, provenMs }): HealthReason => ({
      code: 'directory-retired',
      params: { directory, isProven: provenMs !== null },
    })),
  ]
  return {
    health: healthOf(reasons),
    healthReasons: reasons.map(healthText),
    healthCodes: reasons.map((reason) => ({ ...reason, gravity: healthGravity(reason) })),
    notes: [
      ...(await readNotes(store)),
      ...[privacyidea?.scan.note, privacyidea?.resync.note].filter((note) => note !== undefined),
      ...(await mirrorNotes(store)),
      ...mailNotes(mail),
      ...spaceNotes(machine),
    ],
    mode: settings.privacyidea === null ? 'events' : 'api',
    privacyidea,
    dryRun: dryRunOf !== null,
    dryRunOf,
    paused: pauses[0] ?? null,
    pauses,
    review,
    findings,
    unplaced,
    daemon,
    configuration:
      running === null
        ? null
        : {
            file: running.settings.file,
            loadedMs: running.loadedMs,
            digest: running.digest,
            difference,
            mistake,
            reload,
          },
    lastDrain,
    retired,
    counts,
    spoolFiles: machine.spool.files,
    spoolOldestMs: machine.spool.oldestMs,
    disks: machine.disks,
    locked: await store.reports.accounts({ held: true, approvals, limit: LIST_MAX }),
    lockedCount: await store.reports.countLocking(approvals),
    waits,
    servers,
    lockFindings: signs.lockFindings,
    lockFindingCount: signs.lockTroubles.reduce((sum, { count }) => sum + count, 0),
    mail,
  }
}

/** In time: with a full disk it is no note any more. */
function spaceNotes({ disks }: MachineSigns): string[] {
  return disks
    .filter((disk) => spaceOf(disk) === 'low')
    .map(({ place, freeBytes }) => `${Math.floor(freeBytes / MIB)} MiB are free at ${place}`)
}

/** Mails that will not be delivered are reported for a day; and what to do where none is accepted. */
function mailNotes(mail: MailCounts | null): string[] {
  if (mail === null) return []
  const { lostLately, refusedLately, failing } = mail
  const refused = refusedLately === 0 ? '' : `, ${refusedLately} of them refused by the mail server`
  const lost = `${counted(lostLately, 'mail')} could not be delivered in the last day (lockstep mail list --state lost)`
  return [
    ...(lostLately === 0 ? [] : [`${lost}${refused}`]),
    ...(failing === null || failing.fix === '' ? [] : [`mail: ${failing.fix}`]),
  ]
}

async function readNotes(store: Store): Promise<string[]> {
  const unknown = await store.reports.unknownEffects()
  return unknown.map(({ directory, locks }) => {
    return `directory ${directory}: whether a lock locks its user out is not known (${locks} now); lockstep doctor shows what to do`
  })
}

async function mirrorNotes(store: Store): Promise<string[]> {
  const count = await store.mirror.countAccounts()
  if (count === 0) return []
  return [
    `${counted(count, 'account')} locked by others in the directory, and so in privacyIDEA; lockstep show shows how`,
  ]
}

async function readWaits(store: Store): Promise<Wait[]> {
  const events = await store.reports.events({ state: 'waiting', limit: LIST_MAX })
  const accounts = await store.reports.accounts({ unsettled: true, limit: LIST_MAX })
  return [
    ...events.map((event) => ({
      what: 'event' as const,
      name: `${event.kind} ${[event.serial, event.login].filter((each) => each !== null).join(' ')}`,
      why: event.why || 'not looked at yet',
      whyCode: event.whyCode,
      whyParams: event.whyParams,
      againMs: event.nextTryMs,
      code: event.whyCode ?? 'waiting',
    })),
    ...accounts.map((account) => ({
      what: 'account' as const,
      name: account.login ?? account.dn,
      why: `${account.standing}: ${account.standingReason}`,
      whyCode: account.standingReasonCode,
      whyParams: account.standingReasonParams,
      againMs: null,
      code: account.standingCode ?? account.standing,
    })),
  ]
}
