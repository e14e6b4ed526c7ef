import { z } from 'zod'

/** What several documents have in common. Objects are closed: what is not named here is not printed. */

/** A list of objects. */
export const listOf = <Shape extends z.ZodRawShape>(shape: Shape) => z.array(z.strictObject(shape))
/** An object, or null. */
export const orNull = <Shape extends z.ZodRawShape>(shape: Shape) => z.strictObject(shape).nullable()
/** One that the documents share, under a name of its own. */
const named = <Shape extends z.ZodRawShape>(id: string, shape: Shape) => z.strictObject(shape).meta({ id })

/** RFC 3339, UTC. */
export const instant = z.iso.datetime().meta({ id: 'Instant' })
export const instantOrNull = instant.nullable()
/** A length of time in milliseconds. */
export const length = z.number().nonnegative()
export const count = z.int().nonnegative()
/** One sentence for people; no program should read it. */
export const text = z.string()
const params = z.record(z.string(), z.unknown())

/** Why something happened: the code decides, the sentence explains. */
export const reason = named('Reason', { code: z.string(), params, text })
export const reasonOrNull = reason.nullable()

export const failure = named('Failure', { code: z.string(), message: text, hint: text })

export const directoryName = z.string()

export const hold = named('Hold', {
  name: z.string(),
  kind: z.enum(['token', 'account', 'lockout', 'manual']),
  serial: z.string().nullable(),
  since: instant,
  until: instantOrNull,
  reason: reasonOrNull,
  actor: z.string(),
})

/** Something to look at. `fix` is '' where there is nothing to do. */
const finding = { code: z.string(), params, text, fix: text }

const serverVerdict = named('ServerVerdict', {
  url: z.string(),
  stands: z.enum(['yes', 'no', 'unknown']),
  effective: z.enum(['yes', 'no', 'unknown']),
  hadIt: z.boolean(),
  otherLock: text.optional(),
  text,
})

const verification = named('Verification', {
  wanted: z.enum(['locked', 'open', 'removed']),
  written: z.enum(['yes', 'no', 'unknown']),
  effective: z.enum(['yes', 'no', 'unknown']),
  standing: count,
  verified: count,
  of: count,
  checkedAt: instantOrNull,
  servers: z.array(serverVerdict),
  problem: orNull({ ...finding, since: instant }),
})

/** A lock of somebody else, beside ours or alone; null: none was observed. */
export const otherLock = orNull({
  is: z.enum(['locked', 'unknown']),
  cause: z.string(),
  attribute: z.string(),
  until: instantOrNull,
  reason,
})

export const account = named('Account', {
  key: z.string(),
  directory: directoryName,
  dn: z.string(),
  login: z.string().nullable(),
  realm: z.string().nullable(),
  lockedByUs: z.boolean(),
  effective: z.enum(['yes', 'no', 'unknown', 'probed']).nullable(),
  proof: orNull({ at: instant, url: z.string() }),
  otherLock,
  standing: z.string(),
  standingCode: z.string().nullable(),
  standingReason: reasonOrNull,
  holds: z.array(hold),
  verification: verification.nullable(),
  updatedAt: instant,
})

export const event = named('Event', {
  id: z.string(),
  kind: z.string(),
  serial: z.string().nullable(),
  login: z.string().nullable(),
  realm: z.string().nullable(),
  actor: z.string(),
  source: z.string(),
  reason: reasonOrNull,
  takenAt: instant,
  receivedAt: instant,
  state: z.enum(['waiting', 'resolved', 'ended', 'refused']),
  account: z.string().nullable(),
  why: reasonOrNull,
  attempts: count,
  nextTryAt: instantOrNull,
})

/** Of findings that are on record. */
export const openFinding = z.strictObject({
  ...finding,
  subject: z.string(),
  isAttention: z.boolean(),
  firstAt: instant,
})
export const lockFinding = z.strictObject({
  ...finding,
  account: z.string(),
  dn: z.string(),
  login: z.string().nullable(),
  since: instant,
})

/** The pause of one directory, or of all (`directory` is null), and who ordered it. */
export const pauseInForce = named('Pause', {
  directory: directoryName.nullable(),
  since: instant,
  by: z.string(),
  comment: z.string(),
})

/** Locks and losses that are pending, and those that a person decided about. */
export const reviewCounts = {
  waiting: count,
  approved: count,
  oldestAt: instantOrNull,
  locks: z.strictObject({ waiting: count, approved: count }),
  losses: z.strictObject({ waiting: count, approved: count, dismissed: count }),
}

export const unplacedGroup = named('UnplacedGroup', {
  cause: z.string(),
  tokens: count,
  full: count,
  owners: count,
  names: z.array(z.string()),
})

/** The refusal of a mail server: the step, the codes, and what it seems to be directed against. */
export const mailAnswer = named('MailAnswer', {
  stage: z.enum(['connect', 'hello', 'login', 'sender', 'recipient', 'message']),
  status: z.int(),
  enhanced: z.string().nullable(),
  kind: z.string(),
})

export const mailCounts = {
  states: z.record(z.string(), count),
  oldestAt: instantOrNull,
  lostLately: count,
  refusedLately: count,
  failing: orNull({ since: instant, text, code: z.string().nullable(), fix: text, answer: mailAnswer.nullable() }),
  sentAt: instantOrNull,
}

/** A directory that was not compared. */
export const leftAlone = z.strictObject({ directory: directoryName, code: z.string(), text })
