import { counted } from '../format/counted.ts'
import { age } from '../format/age.ts'
import { directoryPhrase } from '../guards/guard.ts'
import type { DirectoryName } from '../names.ts'
import { rendersBareCodes } from '../wording.ts'

/**
 * The health of Lockstep: codes with parameters, judged in one place for `status`, `status --check`, `doctor`,
 * `healthcheck`, `/healthz` and the health file. The sentence is made where it is shown.
 */
export interface HealthParams {
  /** No daemon serves the store, and no drains stand in for one. */
  'not-served': { readonly drainedAgoMs: number | null; readonly servedAgoMs: number | null }
  /** The daemon ended without being stopped, and drains stand in for it. */
  'daemon-died': { readonly agoMs: number; readonly pid: number }
  'drain-failed': { readonly reason: string }
  'drain-incomplete': { readonly reason: string }
  /** The daemon reports nothing any more: it hangs, or the health file cannot be written. */
  'report-old': { readonly ageMs: number }
  'disk-full': { readonly place: string; readonly freeBytes: number }
  /** The file of the store was removed, moved or replaced under the daemon, which ends. */
  'store-gone': Readonly<Record<string, never>>
  'store-not-written': { readonly code: string; readonly forMs: number }
  'intake-fails': { readonly code: string; readonly forMs: number }
  'spool-closed': { readonly spool: string; readonly isReadOnly: boolean }
  /** Event files that nobody takes. */
  'spool-old': { readonly files: number; readonly ageMs: number }
  /** Changes that a full or closed disk holds up. */
  'files-not-written': { readonly accounts: number }
  'config-mistake': { readonly mistake: string }
  'config-not-loaded': { readonly difference: string; readonly fix: string }
  'reload-failed': { readonly agoMs: number; readonly reason: string }
  /** Everything of ours is to be released there; `isProven`: a search found nothing more. */
  'directory-retired': { readonly directory: DirectoryName; readonly isProven: boolean }
  'source-unread': { readonly forMs: number; readonly reason: string }
  'mail-fails': { readonly forMs: number; readonly reason: string }
  'events-waiting': { readonly count: number }
  'accounts-pending': { readonly count: number }
  'locks-in-review': { readonly count: number }
  'losses-in-review': { readonly count: number }
  paused: { readonly directory: DirectoryName | null }
  'server-trouble': {
    readonly directory: string
    readonly url: string
    readonly is: string
    readonly forMs: number
    readonly isWhole: boolean
  }
  /** Locks with the same kind of problem, and the first of them. */
  'lock-trouble': {
    readonly kind: string
    readonly count: number
    readonly account: string
    readonly reason: string
  }
  /** Changes planned there are not written. */
  'dry-run': { readonly of: 'everything' | 'directory' | 'realm'; readonly name: string }
  finding: { readonly kind: string; readonly count: number }
}

export type HealthCode = keyof HealthParams

export type HealthReason<Code extends HealthCode = HealthCode> = {
  readonly [Each in Code]: { readonly code: Each; readonly params: HealthParams[Each] }
}[Code]

type Gravity = 'critical' | 'warning'

interface Wording<Params> {
  text(params: Params): string
  /** `critical`: locks are not written, or events are not taken, until somebody acts. */
  readonly gravity: Gravity | ((params: Params) => Gravity)
  /**
   * The daemon itself cannot do its work on this machine: then `healthcheck` fails, and `/healthz`. `seen`: that can be
   * observed without the store, at any time; `recorded`: it is on record.
   */
  readonly ofMachine?: 'seen' | 'recorded'
}

/** A restart of privacyIDEA is over before that. */
const SOURCE_UNREAD_MS = 300_000
const NO_DAEMON = 'no daemon serves this store'
const HOW_TO_SERVE = '(lockstep serve, or lockstep drain from cron)'

const WORDINGS: { readonly [Code in HealthCode]: Wording<HealthParams[Code]> } = {
  'not-served': {
    text: ({ drainedAgoMs, servedAgoMs }) => {
      const served = servedAgoMs === null ? '' : `; one did until ${age(servedAgoMs)} ago`
      const drained = drainedAgoMs === null ? 'no drain ever ran' : `the last drain ended ${age(drainedAgoMs)} ago`
      return `${NO_DAEMON}${served}, and ${drained} ${HOW_TO_SERVE}`
    },
    gravity: 'critical',
    ofMachine: 'recorded',
  },
  'daemon-died': {
    text: ({ agoMs, pid }) =>
      `the daemon (process ${pid}) ended ${age(agoMs)} ago without being stopped, and drains do its work (journalctl -u lockstep)`,
    gravity: 'warning',
  },
  'drain-failed': { text: ({ reason }) => `the last drain failed: ${reason}`, gravity: 'critical' },
  'drain-incomplete': { text: ({ reason }) => `the last drain left something undone: ${reason}`, gravity: 'warning' },
  'report-old': {
    text: ({ ageMs }) => `the daemon has not reported how it is for ${age(ageMs)} (the file of the key health.file)`,
    gravity: 'critical',
  },
  'disk-full': {
    text: ({ place, freeBytes }) =>
      `the disk of ${place} is full (${Math.floor(freeBytes / MIB)} MiB are free): no event is taken and no change is made`,
    gravity: 'critical',
    ofMachine: 'seen',
  },
  'store-gone': {
    text: () =>
      'the file of the store was removed, moved or replaced while the daemon worked with it, and the daemon ends',
    gravity: 'critical',
    ofMachine: 'seen',
  },
  'store-not-written': {
    text: ({ code, forMs }) => `the store cannot be written for ${age(forMs)} (${code})`,
    gravity: 'critical',
    ofMachine: 'seen',
  },
  'intake-fails': {
    text: ({ code, forMs }) => `events cannot be put on record for ${age(forMs)} (${code})`,
    gravity: 'critical',
    ofMachine: 'seen',
  },
  'spool-closed': {
    text: ({ spool, isReadOnly }) =>
      `no event can be taken from the spool ${spool}: ${isReadOnly ? 'its file system is read-only' : 'no permission'} (lockstep doctor shows what to do)`,
    gravity: 'critical',
    ofMachine: 'seen',
  },
  'spool-old': {
    text: ({ files, ageMs }) =>
      `${counted(files, 'event file')} in the spool, the oldest for ${age(ageMs)}: they are not taken`,
    gravity: 'critical',
  },
  'files-not-written': {
    text: ({ accounts }) =>
      `${counted(accounts, 'account')} not changed, since the LDIF files could not be written (lockstep doctor)`,
    gravity: 'critical',
    ofMachine: 'recorded',
  },
  'config-mistake': {
    text: ({ mistake }) => `the configuration file cannot be loaded: ${mistake} (lockstep check)`,
    gravity: 'warning',
  },
  'config-not-loaded': { text: ({ difference, fix }) => `${difference} (${fix})`, gravity: 'warning' },
  'reload-failed': {
    text: ({ agoMs, reason }) => `the last reload failed ${age(agoMs)} ago: ${reason}`,
    gravity: 'warning',
  },
  'directory-retired': {
    text: ({ directory, isProven }) =>
      isProven
        ? `directory ${directory} is retired: nobody is locked there (take it out of the configuration, or lockstep retire ${directory} --cancel)`
        : `directory ${directory} is retired, and something of ours is left there (lockstep retire ${directory} --yes)`,
    gravity: 'warning',
  },
  'source-unread': {
    text: ({ forMs, reason }) => `privacyIDEA could not be read for ${age(forMs)}: ${reason}`,
    gravity: ({ forMs }) => (forMs > SOURCE_UNREAD_MS ? 'critical' : 'warning'),
  },
  'mail-fails': {
    text: ({ forMs, reason }) => `mail could not be sent for ${age(forMs)}: ${reason}`,
    gravity: 'warning',
  },
  'events-waiting': { text: ({ count }) => counted(count, 'unresolved event'), gravity: 'warning' },
  'accounts-pending': { text: ({ count }) => `${counted(count, 'account')} not in sync`, gravity: 'warning' },
  'locks-in-review': {
    text: ({ count }) => `${counted(count, 'lock')} held back by the breaker (lockstep review)`,
    gravity: 'warning',
  },
  'losses-in-review': {
    text: ({ count }) => `${counted(count, 'loss', 'losses')} of tokens held back by the breaker (lockstep review)`,
    gravity: 'warning',
  },
  paused: { text: ({ directory }) => `changes${directoryPhrase(directory)} are paused`, gravity: 'warning' },
  'server-trouble': {
    text: ({ directory, url, is, forMs }) => `directory ${directory}: ${url} is ${is} for ${age(forMs)}`,
    // Where another server is left, it does the work.
    gravity: ({ isWhole }) => (isWhole ? 'critical' : 'warning'),
  },
  'lock-trouble': {
    text: ({ account, reason, count }) => `${account}: ${reason}${count > 1 ? ` (and ${count - 1} more)` : ''}`,
    gravity: 'warning',
  },
  'dry-run': {
    text: ({ of, name }) =>
      `dry run of ${of === 'everything' ? of : `${of} ${name}`}: nobody is locked there (guards.dryRun)`,
    gravity: 'warning',
  },
  finding: { text: ({ kind, count }) => `${counted(count, 'finding')}: ${kind}`, gravity: 'warning' },
}

const MIB = 1024 * 1024

export function healthText<Code extends HealthCode>({ code, params }: HealthReason<Code>): string {
  return rendersBareCodes() ? code : wordingOf(code).text(params)
}

export function healthGravity<Code extends HealthCode>({ code, params }: HealthReason<Code>): Gravity {
  const { gravity } = wordingOf(code)
  return typeof gravity === 'function' ? gravity(params) : gravity
}

/** Whether these leave the daemon fit for its work on this machine, as far as `healthcheck` and `/healthz` are concerned. */
export function isFit(reasons: readonly HealthReason[]): boolean {
  return reasons.every(({ code }) => WORDINGS[code].ofMachine === undefined)
}

/** Those that only the record shows. */
export function recordedUnfit(reasons: readonly HealthReason[]): HealthReason[] {
  return reasons.filter(({ code }) => WORDINGS[code].ofMachine === 'recorded')
}

/** `down`: nothing serves. `attention`: something is pending, failed, or is not enforced. */
export function healthOf(reasons: readonly HealthReason[]): 'ok' | 'attention' | 'down' {
  if (reasons.some(({ code }) => code === 'not-served')) return 'down'
  return reasons.length === 0 ? 'ok' : 'attention'
}

function wordingOf<Code extends HealthCode>(code: Code): Wording<HealthParams[Code]> {
  return WORDINGS[code]
}

/** A fraction of a small disk counts as this many bytes of a large one. */
const FULL_BYTES = 64 * MIB
const FULL_SHARE = 0.05
/** The doctor's warning, long before. */
const LOW_BYTES = 1024 * MIB

export interface DiskSpace {
  /** A folder on it, as the configuration names it. */
  readonly place: string
  readonly freeBytes: number
  readonly sizeBytes: number
  readonly hasInodes: boolean
}

/** One rule for `doctor`, `status` and all others. */
export function spaceOf({ freeBytes, sizeBytes, hasInodes }: DiskSpace): 'enough' | 'low' | 'full' {
  if (!hasInodes || freeBytes < Math.min(FULL_BYTES, sizeBytes * FULL_SHARE)) return 'full'
  return freeBytes < LOW_BYTES ? 'low' : 'enough'
}

/** What fails, and since when; null: nothing does. */
export interface Failing {
  readonly code: string
  readonly sinceMs: number
}

/** Signs of this machine that need no access to the store. */
export interface MachineSigns {
  readonly spool: {
    readonly dir: string
    readonly closed: 'read-only' | 'not-permitted' | null
    readonly files: number
    /** When the oldest of them came in, in milliseconds since 1970; null: none waits. */
    readonly oldestMs: number | null
  }
  readonly disks: readonly DiskSpace[]
}

/** Signs that only the serving process can observe. */
export interface LiveSigns {
  readonly intake: Failing | null
  readonly store: Failing | null
  /** Its file is not the one that was opened. */
  readonly isStoreGone: boolean
}

/** A file that waits longer is not taken: the daemon takes one within moments, also one of thousands within this. */
const SPOOL_OLD_MS = 60_000

export function machineReasons(
  machine: MachineSigns,
  live: LiveSigns | null,
  nowMs: number,
  isServing: boolean,
): HealthReason[] {
  const { spool, disks } = machine
  const reasons: HealthReason[] = []
  for (const disk of disks) {
    const { place, freeBytes } = disk
    if (spaceOf(disk) === 'full') reasons.push({ code: 'disk-full', params: { place, freeBytes } })
  }
  const forMs = ({ sinceMs }: Failing): number => Math.max(0, nowMs - sinceMs)
  if (live?.isStoreGone === true) reasons.push({ code: 'store-gone', params: {} })
  if (live !== null && live.store !== null) {
    reasons.push({ code: 'store-not-written', params: { code: live.store.code, forMs: forMs(live.store) } })
  }
  if (live !== null && live.intake !== null) {
    reasons.push({ code: 'intake-fails', params: { code: live.intake.code, forMs: forMs(live.intake) } })
  }
  if (spool.closed !== null) {
    reasons.push({ code: 'spool-closed', params: { spool: spool.dir, isReadOnly: spool.closed === 'read-only' } })
  }
  const ageMs = spool.oldestMs === null ? 0 : Math.max(0, nowMs - spool.oldestMs)
  // Where drains do the work, files wait for the next one.
  if (isServing && ageMs > SPOOL_OLD_MS) {
    reasons.push({ code: 'spool-old', params: { files: spool.files, ageMs } })
  }
  return reasons
}

export interface Served {
  /** In milliseconds since 1970: when the last daemon was last observed to serve. */
  readonly untilMs: number
  readonly pid: number
  /** It was stopped, and recorded that. */
  readonly wasStopped: boolean
}

export interface ServiceSigns {
  readonly isDaemonAlive: boolean
  /** The last daemon before; null: none ever served, or one serves. */
  readonly served: Served | null
  readonly lastDrain: {
    readonly endedMs: number
    readonly isRecent: boolean
    readonly outcome: 'done' | 'waiting' | 'failed'
    readonly reason: string
    /** When the last few ended, the newest last. */
    readonly endsMs: readonly number[]
  } | null
}

/** So many drains after a daemon that served show that they replace it, and not that somebody ran one by hand. */
const DRAINS_INSTEAD = 3
/** A daemon that died is shown for so long, also where drains do its work. */
const DIED_MS = 86_400_000

/** What does the work: a daemon, or repeated drains. */
export function isServed({ isDaemonAlive, served, lastDrain }: ServiceSigns): boolean {
  if (isDaemonAlive) return true
  if (lastDrain?.isRecent !== true) return false
  return served === null || lastDrain.endsMs.filter((ms) => ms > served.untilMs).length >= DRAINS_INSTEAD
}

export function serviceReasons(signs: ServiceSigns, nowMs: number): HealthReason[] {
  const { isDaemonAlive, served, lastDrain } = signs
  if (isDaemonAlive) return []
  if (!isServed(signs)) {
    const drainedAgoMs = lastDrain === null ? null : nowMs - lastDrain.endedMs
    const servedAgoMs = served === null ? null : nowMs - served.untilMs
    return [{ code: 'not-served', params: { drainedAgoMs, servedAgoMs } }]
  }
  const reasons: HealthReason[] = []
  if (served !== null && !served.wasStopped && nowMs - served.untilMs < DIED_MS) {
    reasons.push({ code: 'daemon-died', params: { agoMs: nowMs - served.untilMs, pid: served.pid } })
  }
  if (lastDrain?.outcome === 'failed') reasons.push({ code: 'drain-failed', params: { reason: lastDrain.reason } })
  return reasons
}
