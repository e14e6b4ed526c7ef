/** When a mail is sent, and when it is retried. Everything in milliseconds. */

/** All pending mails are to be sent within about so long, even after a mass lock-out. */
const BACKLOG_MS = 300_000
const SPACING_MS_MIN = 20

/**
 * The time between two mails: `1 / perSecond`, and less where so many are pending that it would take too long. Mails
 * that are sent one by one are easy on the server, and a crash finds fewer of them between sent and recorded.
 * @param waiting the peak of pending mails
 */
export function spacingMs(waiting: number, perSecond: number): number {
  return Math.max(SPACING_MS_MIN, Math.min(1000 / perSecond, BACKLOG_MS / Math.max(1, waiting)))
}

const DEFERRED_FIRST_MS = 60_000
const DEFERRED_MAX_MS = 3_600_000

/** After "not now" (4xx, greylisting) for one mail: 1, 2, 4 … 60 minutes, less up to a quarter. @param random in [0, 1) */
export function deferredMs(attempts: number, random: number): number {
  const full = Math.min(DEFERRED_MAX_MS, DEFERRED_FIRST_MS * 2 ** Math.min(attempts, 10))
  return Math.round(full * (1 - random / 4))
}

const TROUBLE_FIRST_MS = 1_000
const TROUBLE_MAX_MS = 30_000

/** After the server could not be reached or refused the login: all mails wait 1, 2, 4 … 30 seconds. */
export function troubleMs(failures: number): number {
  return Math.min(TROUBLE_MAX_MS, TROUBLE_FIRST_MS * 2 ** Math.min(failures, 10))
}

const REFUSED_MAX_MS = 300_000

/** After the server refused all mail from here: 1, 2, 4 … 30 s, then up to 5 min: a person must change something. */
export function refusedMs(failures: number): number {
  const beyond = Math.max(0, failures - 5)
  return Math.min(REFUSED_MAX_MS, troubleMs(failures) * 2 ** Math.min(beyond, 10))
}

const DOUBT_FIRST_MS = 2_000
const DOUBTS_SOON = 2

/**
 * After a refusal that may be about this mail alone or about all: 2 and 4 seconds, in which others are tried, then as after
 * "not now". @param times it was refused, from 1
 */
export function doubtMs(times: number, random: number): number {
  return times <= DOUBTS_SOON ? DOUBT_FIRST_MS * times : deferredMs(times - DOUBTS_SOON - 1, random)
}

/** When the next mail to a recipient is due: after the gathering time, and not too soon after the last one. */
export function dueMs(nowMs: number, lastMs: number | null, limits: { gatherMs: number; intervalMs: number }): number {
  return Math.max(nowMs + limits.gatherMs, lastMs === null ? 0 : lastMs + limits.intervalMs)
}
