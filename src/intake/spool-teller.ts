import { AppError } from '../core/error.ts'
import type { Clock } from '../ports/clock.ts'
import { shownName, type SpoolFile } from './spool-files.ts'
import type { LeftName } from './spool-left.ts'

/** Says what is wrong with the things in `new`: once for each, and in one line for all of a batch. */
export interface Teller {
  /** The file and why it waits. */
  words(left: LeftName): string
  unread(news: readonly LeftName[]): void
  stuck(news: readonly LeftName[]): void
  /** @param count how many lie there now */
  folders(count: number): void
  /** Times of the future were taken as of now. */
  ahead(files: readonly SpoolFile[]): void
}

/** Folders are told again after so long at the earliest, and when there are more than before. */
const FOLDERS_AGAIN_MS = 60 * 60 * 1000
/** A smaller lead of the clocks is not worth a word. */
const AHEAD_TOLD_US = 1_000_000
const WHO_HINT = 'Remove it by hand, and see who can write into the spool besides privacyIDEA.'

export function newTeller(folder: string, clock: Clock, onError: (error: AppError) => void): Teller {
  let foldersTold = 0
  let toldAtMs = 0
  const words = ({ name, why }: LeftName): string => `${folder}/${shownName(name)} cannot be read now: ${why}`
  return {
    words,
    unread(news) {
      const [first] = news
      if (first === undefined) return
      const others = news.length > 1 ? `, and ${news.length - 1} more` : ''
      onError(new AppError('file-io', `${words(first)}${others}.`, { hint: 'It is looked at again by itself.' }))
    },
    stuck(news) {
      const [first] = news
      if (first === undefined) return
      const others = news.length > 1 ? `, and ${news.length - 1} more` : ''
      const what = `${folder}/${shownName(first.name)} cannot be moved away: ${first.why}${others}.`
      onError(new AppError('event-invalid', what, { hint: WHO_HINT }))
    },
    folders(count) {
      if (count === 0) foldersTold = 0
      if (count <= foldersTold || clock.nowMs() - toldAtMs < FOLDERS_AGAIN_MS) return
      foldersTold = count
      toldAtMs = clock.nowMs()
      const what = `${count === 1 ? 'A folder lies' : `${count} folders lie`} in ${folder}: no event, and left alone.`
      onError(new AppError('event-invalid', what, { hint: WHO_HINT }))
    },
    ahead(files) {
      const aheadUs = files.reduce((most, file) => Math.max(most, file.aheadUs), 0)
      if (aheadUs < AHEAD_TOLD_US) return
      const seconds = Math.round(aheadUs / 1_000_000)
      const what = `Events in the spool carry times up to ${seconds} s ahead; they were taken as of now.`
      onError(new AppError('event-invalid', what, { hint: 'Set the clock right: the newest event decides.' }))
    },
  }
}
