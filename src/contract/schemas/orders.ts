import { z } from 'zod'
import {
  account,
  count,
  directoryName,
  hold,
  instant,
  instantOrNull,
  listOf,
  orNull,
  otherLock,
  pauseInForce,
  reason,
  reasonOrNull,
  text,
} from './parts.ts'

/** Documents of the commands that change something: accounts, decisions, the roll-out. */

/** What was on record about the account before the order. */
const found = z.strictObject({ lockedByUs: z.boolean(), holds: z.array(hold), otherLock })
/** `lock`: what the directory shows now; `others`: locked, and not by us. */
const ofAccount = { lock: z.enum(['open', 'ours', 'others', 'unknown']), account, found }

/** `changed`: it was not held before, or it is held longer now. */
export const lock = z.strictObject({ ...ofAccount, changed: z.boolean() })
export const unlock = z.strictObject({
  ...ofAccount,
  /** A hold has ended, or a lock of ours was removed. */
  changed: z.boolean(),
  /** The holds that have ended. */
  ended: z.array(hold),
  /** Tokens whose holds have ended, and the outcome for their fail counters in privacyIDEA. */
  tokens: listOf({ serial: z.string(), failCounter: z.enum(['kept', 'reset', 'refused', 'pending']) }),
})

export const undo = z.strictObject({
  applied: z.boolean(),
  steps: listOf({
    account: z.string(),
    dn: z.string(),
    action: z.enum([
      'unlock',
      'lock',
      'add serial',
      'remove serial',
      'remove serial, and unlock',
      'remove serial, and end its hold',
    ]),
    holds: z.array(z.string()),
    /** Why it is left unchanged. */
    skipped: reasonOrNull,
    change: z.strictObject({
      id: z.string(),
      account: z.string(),
      kind: z.enum(['lock', 'unlock', 'register', 'unregister']),
      serial: z.string().nullable(),
      dn: z.string(),
      reason: reasonOrNull,
      actor: z.string(),
      plannedAt: instant,
      state: z.string(),
      closedAt: instantOrNull,
      holds: z.array(z.string()),
      ends: z.record(z.string(), instant),
    }),
  }),
  waiting: z.array(account),
})

const switched = { paused: z.boolean(), changed: z.boolean(), directory: directoryName.nullable() }
/** `before`: the pause that was in force already, and stays in force. */
export const pause = z.strictObject({ ...switched, before: pauseInForce.nullable() })
/** `ended`: the pause that has ended. */
export const resume = z.strictObject({ ...switched, accounts: count, ended: pauseInForce.nullable() })

const decidedLosses = z.strictObject({ approved: count, dismissed: count, short: count, again: count })
export const decision = z.strictObject({
  by: z.string(),
  /** How many people must approve. */
  needed: count,
  approved: count,
  rejected: count,
  short: count,
  again: count,
  /** Of the accounts that were named: what was approved before and is not carried out yet. */
  approvedBefore: listOf({ account: z.string(), login: z.string().nullable(), by: z.array(z.string()) }),
  pending: count,
  losses: decidedLosses,
})
export const reviewResume = z.strictObject({ by: z.string(), waited: count, lossesWaited: count })

export const drain = z.strictObject({
  taken: count,
  filesWaiting: count,
  eventsWaiting: count,
  accountsWaiting: count,
  reasons: listOf({ code: z.string().nullable(), text }),
  isTimedOut: z.boolean(),
  sourceUnread: text.nullable(),
})

export const retry = z.strictObject({ events: count, accounts: count, daemon: z.boolean() })

export const rebuild = z.strictObject({
  accounts: count,
  serials: count,
  holds: count,
  appliedByHand: count,
  serialsOfOthers: count,
  lockedByOthers: z.array(z.string()),
  leftAlone: z.array(z.string()),
  problems: z.array(text),
})

export const reload = z.strictObject({
  changed: z.array(z.string()),
  restart: z.array(z.string()),
  warnings: z.array(text),
})

export const healthcheck = z.strictObject({
  serving: z.boolean(),
  pid: z.int().nullable(),
  reasons: z.array(reason),
})

const marks = { locks: count, serials: count }
const elsewhere = orNull({
  setup: orNull({ handlers: count, policies: count, isRemoved: z.boolean() }),
  /** `dir`: the script directory that was searched; null: there is none of the usual name, and none was given. */
  shims: z.strictObject({ dir: z.string().nullable(), paths: z.array(z.string()), isRemoved: z.boolean() }),
})
export const retire = z.discriminatedUnion('applied', [
  z.strictObject({
    applied: z.literal(false),
    directories: listOf({
      directory: directoryName,
      ...marks,
      accounts: count,
      since: instantOrNull,
      provenAt: instantOrNull,
    }),
    elsewhere,
  }),
  z.strictObject({
    applied: z.literal(true),
    directories: listOf({
      directory: directoryName,
      before: z.strictObject(marks),
      left: listOf({ dn: z.string(), what: z.string(), why: text }),
      leftCount: count,
      others: z.strictObject(marks),
      gone: count,
      mayArriveUntilAt: instantOrNull,
      isProven: z.boolean(),
    }),
    elsewhere,
  }),
])
export const retireCancel = z.strictObject({
  directory: directoryName,
  changed: z.boolean(),
  resync: z.enum(['daemon', 'by-hand']).nullable(),
})

export const mailRetry = z.strictObject({ mails: count, daemon: z.boolean() })
export const mailDrop = z.strictObject({ mails: count })
export const mailTest = z.strictObject({ to: z.string(), messageId: z.string(), server: z.string() })
export const mailPreview = z.strictObject({ subject: text, text: z.string(), html: z.string() })
