import { AppError } from '../core/error.ts'
import type { Clock } from '../ports/clock.ts'
import { shownName, type SpoolFile } from './spool-files.ts'
import type { LeftName } from './spool-left.ts'

/** Reports what is wrong with the files in `new`: once for each, and in one line for all of a batch. */
export interface SpoolNotifier {
  /** The file and the reason why it waits. */
  words(left: LeftName): string
  unread(found: readonly LeftName[]): void
  stuck(found: readonly LeftName[]): void
  /** @param count how many lie there now */
  folders(count: number): void
  /** Times in the future were replaced by the current time. */
  ahead(files: readonly SpoolFile[]): void
  /** Times in the past that the kernel of this machine did not set: they are used unchanged. */
  behind(files: readonly SpoolFile[]): void
}

/** Folders are reported again after so long at the earliest, and when there are more than before. */
const FOLDERS_AGAIN_MS = 60 * 60 * 1000
/** Wrong times are reported again after so long at the earliest. */
const TIMES_AGAIN_MS = 60_000
/** A shim renames its file within moments. */
const BEHIND_REPORTED_US = 60_000_000
const CLOCK_HINT = 'Set the clocks of this machine and of privacyIDEA right: timedatectl set-ntp true'
/** A smaller lead of the clocks is not reported. */
const AHEAD_REPORTED_US = 1_000_000
const WHO_HINT = 'Remove it by hand, and see who can write into the spool besides privacyIDEA.'

type Report = (error: AppError) => void

export function newNotifier(folder: string, clock: Clock, onError: Report, onWarning: Report): SpoolNotifier {
  let foldersReported = 0
  let reportedAtMs = 0
  /** By the monotonic clock. */
  let aheadReportedMs = -Infinity
  let behindReportedMs = -Infinity
  const words = ({ name, why }: LeftName): string => `${folder}/${shownName(name)} cannot be read now: ${why}`
  return {
    words,
    unread(found) {
      const [first] = found
      if (first === undefined) return
      const others = found.length > 1 ? `, and ${found.length - 1} more` : ''
      onError(new AppError('file-io', `${words(first)}${others}.`, { hint: 'It is looked at again by itself.' }))
    },
    stuck(found) {
      const [first] = found
      if (first === undefined) return
      const others = found.length > 1 ? `, and ${found.length - 1} more` : ''
      const what = `${folder}/${shownName(first.name)} cannot be moved away: ${first.why}${others}.`
      onError(new AppError('event-invalid', what, { hint: WHO_HINT }))
    },
    folders(count) {
      if (count === 0) foldersReported = 0
      if (count <= foldersReported || clock.nowMs() - reportedAtMs < FOLDERS_AGAIN_MS) return
      foldersReported = count
      reportedAtMs = clock.nowMs()
      const what = `${count === 1 ? 'A folder lies' : `${count} folders lie`} in ${folder}: no event, and left alone.`
      onWarning(new AppError('event-invalid', what, { hint: WHO_HINT }))
    },
    ahead(files) {
      const aheadUs = files.reduce((most, file) => Math.max(most, file.aheadUs), 0)
      if (aheadUs < AHEAD_REPORTED_US || performance.now() - aheadReportedMs < TIMES_AGAIN_MS) return
      aheadReportedMs = performance.now()
      const seconds = Math.round(aheadUs / 1_000_000)
      const what = `Events in the spool carry times up to ${seconds} s ahead; they were taken as of now.`
      onWarning(new AppError('event-invalid', what, { hint: CLOCK_HINT }))
    },
    behind(files) {
      const behindUs = files.reduce((most, file) => Math.max(most, file.behindUs), 0)
      if (behindUs < BEHIND_REPORTED_US || performance.now() - behindReportedMs < TIMES_AGAIN_MS) return
      behindReportedMs = performance.now()
      const seconds = Math.round(behindUs / 1_000_000)
      const what = `Events in the spool carry times up to ${seconds} s behind those at which their files were made; an event on record that is newer decides.`
      onWarning(new AppError('event-invalid', what, { hint: CLOCK_HINT }))
    },
  }
}
