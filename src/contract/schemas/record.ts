import { z } from 'zod'
import {
  account,
  count,
  directoryName,
  event,
  failure,
  instant,
  instantOrNull,
  leftAlone,
  length,
  listOf,
  lockFinding,
  mailAnswer,
  mailCounts,
  openFinding,
  orNull,
  reason,
  reasonOrNull,
  reviewCounts,
  text,
  unplacedGroup,
  pauseInForce,
} from './parts.ts'

/** Documents of the commands that read the record. */

const sweep = z.strictObject({
  doneAt: instantOrNull,
  failing: orNull({ since: instant, code: z.string().optional(), text }),
  note: text.optional(),
})

const healthReason = z.strictObject({ ...reason.shape, gravity: z.enum(['critical', 'warning']) })

const reloadOutcome = z.discriminatedUnion('is', [
  z.strictObject({
    is: z.literal('done'),
    endedAt: instant,
    changed: z.array(z.string()),
    restart: z.array(z.string()),
    warnings: z.array(text),
  }),
  z.strictObject({ is: z.literal('failed'), endedAt: instant, code: z.string(), message: text, hint: text }),
])

const configuration = z.strictObject({
  file: z.string(),
  loadedAt: instant,
  digest: z.string(),
  difference: orNull({ reload: z.array(z.string()), restart: z.array(z.string()), changedAt: instantOrNull }),
  mistake: text.nullable(),
  reload: reloadOutcome.nullable(),
})

const server = z.strictObject({
  url: z.string(),
  is: z.enum(['untried', 'up', 'down', 'slow', 'refused', 'read-only', 'other-identity']),
  since: instant,
  text,
})

const retirement = z.strictObject({
  directory: directoryName,
  since: instant,
  by: z.string(),
  provenAt: instantOrNull,
})

export const status = z.strictObject({
  health: z.enum(['ok', 'attention', 'down']),
  healthReasons: z.array(healthReason),
  notes: z.array(text),
  mode: z.enum(['events', 'api']),
  privacyidea: orNull({ scan: sweep, resync: sweep }),
  dryRun: z.boolean(),
  dryRunOf: text.nullable(),
  paused: pauseInForce.nullable(),
  pauses: z.array(pauseInForce),
  review: z.strictObject(reviewCounts),
  findings: z.array(openFinding),
  unplaced: z.array(unplacedGroup),
  daemon: orNull({
    owner: z.string(),
    pid: z.int(),
    startedAt: instant,
    readyAt: instantOrNull,
    heartbeatAt: instant,
  }),
  configuration: configuration.nullable(),
  lastDrain: orNull({
    outcome: z.enum(['done', 'waiting', 'failed']),
    text,
    endedAt: instant,
    recentForMs: length,
    isRecent: z.boolean(),
    endsAt: z.array(instant),
  }),
  retired: z.array(retirement),
  counts: z.strictObject({
    accountsKnown: count,
    accountsHeld: count,
    accountsLockedByUs: count,
    accountsUnsettled: count,
    queueLength: count,
    queueDue: count,
    oldestDueMs: length.nullable(),
    eventsWaiting: count,
    eventsRefused: count,
    eventsNewestAt: instantOrNull,
    journalRecords: count,
  }),
  spoolFiles: count,
  spoolOldestAt: instantOrNull,
  disks: listOf({ place: z.string(), freeBytes: z.number(), sizeBytes: z.number(), hasInodes: z.boolean() }),
  locked: z.array(account),
  lockedCount: count,
  waits: listOf({
    what: z.enum(['event', 'account']),
    name: z.string(),
    code: z.string(),
    why: reasonOrNull,
    againAt: instantOrNull,
  }),
  servers: listOf({ directory: directoryName, checkedAt: instant, servers: z.array(server) }),
  lockFindings: z.array(lockFinding),
  lockFindingCount: count,
  mail: orNull(mailCounts),
})

export const statusCheck = z.strictObject({ exit: z.int(), line: text })

/** `files`: those of `unlock/` that release it, as paths below the LDIF folder; null: they cannot be read. */
const listedAccount = z.strictObject({ ...account.shape, files: z.array(z.string()).nullable() })
export const accounts = z.strictObject({ accounts: z.array(listedAccount), isCut: z.boolean() })
export const events = z.strictObject({ events: z.array(event), isCut: z.boolean() })

const lossCause = z.enum(['not-listed', 'no-owner', 'no-account']).nullable()

export const show = z.strictObject({
  accounts: listOf({
    account,
    serials: z.array(z.string()),
    /** `readAt`: when privacyIDEA reported it; null: never, as in mode events. */
    tokens: listOf({
      serial: z.string(),
      type: z.string().nullable(),
      state: z.enum(['active', 'disabled', 'revoked', 'enrolling', 'not-listed']).nullable(),
      failCount: z.number().nullable(),
      failCountMax: z.number().nullable(),
      readAt: instantOrNull,
    }),
    /** Why privacyIDEA could not be asked now: `tokens` are those of the last reading. */
    tokensUnread: failure.nullable(),
    retired: retirement.nullable(),
    mirrored: listOf({ kind: z.enum(['token', 'lockout']), of: z.string(), state: z.enum(['open', 'set', 'left']) }),
    further: listOf({ directory: directoryName, dn: z.string().nullable(), error: failure.nullable() }),
    losses: listOf({
      key: z.string(),
      serial: z.string(),
      directory: directoryName,
      dn: z.string(),
      login: z.string().nullable(),
      realm: z.string().nullable(),
      since: instant,
      cause: lossCause,
      state: z.enum(['waiting', 'approved', 'dismissed']),
      approvedBy: z.array(z.string()),
      isHold: z.boolean(),
      text,
    }),
    timeline: listOf({
      at: instant,
      what: z.string(),
      serial: z.string().nullable(),
      actor: z.string(),
      details: text,
      reason: reasonOrNull,
    }),
  }),
})

export const owners = z.strictObject({
  groups: z.array(unplacedGroup),
  tokens: listOf({
    serial: z.string(),
    cause: z.string(),
    login: z.string().nullable(),
    realm: z.string().nullable(),
    resolver: z.string().nullable(),
    userId: z.string().nullable(),
    isFull: z.boolean(),
    since: instant,
  }),
})

/** `body`: the record itself, with instants and reasons as everywhere; its contents are not part of the contract. */
export const journal = z.strictObject({
  records: listOf({
    seq: count,
    at: instant,
    kind: z.string(),
    subject: z.string(),
    body: z.unknown(),
    hash: z.string(),
  }),
})
export const journalVerify = z.strictObject({
  records: count,
  faults: listOf({ seq: z.int(), what: text }),
})

export const mailList = z.strictObject({
  ...mailCounts,
  isCut: z.boolean(),
  mails: listOf({
    id: z.string(),
    state: z.enum(['gathering', 'waiting', 'sent', 'refused', 'expired', 'no-address', 'dropped']),
    audience: z.enum(['owner', 'help-desk']),
    recipient: z.string(),
    address: z.string().nullable(),
    counts: z.record(z.string(), count),
    count,
    createdAt: instant,
    dueAt: instantOrNull,
    sealedAt: instantOrNull,
    endedAt: instantOrNull,
    attempts: count,
    why: reasonOrNull,
    answer: mailAnswer.nullable(),
  }),
})

const waiting = {
  account: z.string(),
  login: z.string().nullable(),
  realm: z.string().nullable(),
  directory: directoryName,
  dn: z.string(),
  since: instant,
  approvedBy: z.array(z.string()),
  holds: z.array(z.string()),
}
const lockReview = {
  ...waiting,
  kind: z.literal('lock'),
  state: z.enum(['waiting', 'approved']),
  /** Which limit was reached. */
  reason,
  /** Why it is to be locked. */
  why: reason,
}
const lossReview = z.strictObject({
  ...waiting,
  kind: z.literal('loss'),
  state: z.enum(['waiting', 'approved', 'dismissed']),
  serial: z.string(),
  cause: lossCause,
  text,
})

export const reviewList = z.strictObject({
  ...reviewCounts,
  reviews: z.array(z.discriminatedUnion('kind', [z.strictObject(lockReview), lossReview])),
})
const ldif = z.strictObject({ forward: z.string(), inverse: z.string() })
export const reviewShow = z.strictObject({
  reviews: z.array(z.discriminatedUnion('kind', [z.strictObject({ ...lockReview, ldif }), lossReview])),
})

export const resync = z.strictObject({
  tokens: count,
  accounts: count,
  differences: count,
  drift: listOf({
    account: z.string(),
    serial: z.string().nullable(),
    now: z.string(),
    should: z.string(),
    why: reason,
  }),
  left: z.array(leftAlone),
  unowned: listOf({ key: z.string(), dn: z.string(), serial: z.string().nullable(), why: reason }),
  isOtherSource: z.boolean(),
  dryRun: z.boolean(),
})

export const adoption = z.strictObject({
  rows: listOf({
    account: z.string(),
    serial: z.string().nullable(),
    action: z.enum(['remove', 'unlock', 'take-over', 'leave']),
    why: reason,
  }),
  isOtherSource: z.boolean(),
  left: z.array(leftAlone),
  isDone: z.boolean(),
})
