import type { Login, Realm, Serial } from '../names.ts'

/** New tokens for users, one by one or in a roll-out. Pure. A token's secret is never in any of these. */

export const ENROLL_TYPES = ['totp', 'hotp'] as const
export type EnrollType = (typeof ENROLL_TYPES)[number]

/** The user that a token is for. */
export interface Enrollee {
  readonly login: Login
  readonly realm: Realm
  readonly type: EnrollType
}

/**
 * making: a token of this serial may have been made, and nobody has its secret. mailing: the mail server may have
 * the mail. done: it has. skipped: nothing was made, for a reason that may pass. failed: nothing is left of what was
 * made.
 */
export const ENROLL_STATES = ['making', 'mailing', 'done', 'skipped', 'failed'] as const
export type EnrollState = (typeof ENROLL_STATES)[number]

/** What is on record of a user in a roll-out. */
export interface Enrollment {
  readonly login: Login
  readonly realm: Realm
  readonly state: EnrollState
  readonly serial: Serial | null
  /** Of the mail; the same at every try. */
  readonly mailId: string | null
  readonly why: string
}

export const ROLLOUT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** `8/s`, `120/m`, `1000/h`, in milliseconds between two; null where it is none. */
export function parseRate(text: string): number | null {
  const match = /^(\d{1,5})\/([smh])$/.exec(text)
  if (match === null) return null
  const count = Number(match[1])
  const unitMs = { s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as 's' | 'm' | 'h']
  return count === 0 ? null : unitMs / count
}

/** Each user once, in any case of the letters. @returns the enrollees and how many were repeated */
export function distinct(all: readonly Enrollee[]): {
  readonly enrollees: readonly Enrollee[]
  readonly again: number
} {
  const found = new Map<string, Enrollee>()
  for (const each of all) {
    const key = enrolleeKey(each)
    if (!found.has(key)) found.set(key, each)
  }
  return { enrollees: [...found.values()], again: all.length - found.size }
}

export function enrolleeKey({ login, realm }: Pick<Enrollee, 'login' | 'realm'>): string {
  return `${realm}\n${login.toLowerCase()}`
}
