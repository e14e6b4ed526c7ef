import { z } from 'zod'
import { count, directoryName, failure, listOf, reasonOrNull, text } from './parts.ts'

/** Documents of the commands that set Lockstep and privacyIDEA up, and of those that check the set-up. */

export const check = z.strictObject({
  file: z.string(),
  problems: listOf({
    severity: z.enum(['error', 'warning']),
    /** From 1; 0: it is about the whole file. */
    line: count,
    column: count,
    key: z.string(),
    message: text,
  }),
  /** With --explain; else null. */
  files: z
    .array(z.strictObject({ key: z.string(), place: z.string(), state: z.string(), good: z.string() }))
    .nullable(),
})

export const doctor = z.strictObject({
  /** How many findings have each status. */
  counts: z.strictObject({ ok: count, skip: count, warn: count, fail: count }),
  findings: listOf({
    /** `skip`: it was not checked; `why` states what is unknown, `fix` how to have it checked. */
    status: z.enum(['ok', 'skip', 'warn', 'fail']),
    area: z.string(),
    check: z.string(),
    what: text,
    why: text,
    fix: z.string(),
    code: z.string().nullable(),
  }),
})

export const version = z.strictObject({
  lockstep: z.string(),
  node: z.string(),
  openssl: z.string(),
  sqlite: z.string(),
  v8: z.string(),
  /** Of the stores that this version writes. */
  storeSchema: count,
  platform: z.string(),
})

export const init = z.strictObject({
  file: z.string(),
  written: listOf({ path: z.string(), mode: z.string() }),
  nextSteps: z.array(text),
})

const identity = z.strictObject({ contexts: z.array(z.string()), base: z.string(), baseId: z.string().nullable() })

export const directoryShow = z.strictObject({
  directories: listOf({
    directory: directoryName,
    recorded: identity.nullable(),
    servers: listOf({
      url: z.string(),
      identity: identity.nullable(),
      error: failure.nullable(),
      difference: text.nullable(),
    }),
  }),
})
export const directoryAccept = z.strictObject({
  directory: directoryName,
  accepted: identity,
  /** It was another one, or none, before. */
  changed: z.boolean(),
  before: identity.nullable(),
})

const shims = z.strictObject({
  dir: z.string(),
  scripts: listOf({ path: z.string(), action: z.enum(['written', 'unchanged']) }),
  spool: z.string(),
  folders: listOf({
    path: z.string(),
    mode: z.string(),
    uid: z.int(),
    gid: z.int(),
    action: z.enum(['created', 'corrected', 'unchanged']),
  }),
  nextSteps: z.array(text),
})
export const shimsInstall = shims
export const shimsTest = z.strictObject({
  dir: z.string(),
  /** Null: they were not run; `why` gives the reason. */
  user: z.string().nullable(),
  why: text,
  scripts: listOf({ name: z.string(), is: z.enum(['arrived', 'spooled', 'failed']), trouble: text }),
})

const binding = z.strictObject({
  change: z.enum(['create', 'same', 'update', 'replace', 'remove']),
  name: z.string(),
  id: z.int().nullable(),
  differences: listOf({ what: z.string(), stands: z.string(), wanted: z.string() }),
})
const ofServer = { version: z.string(), url: z.string(), made: z.boolean(), changes: count, handlers: z.array(binding) }

export const privacyideaSetup = z.strictObject({
  ...ofServer,
  policies: listOf({
    change: z.enum(['create', 'update', 'same', 'remove']),
    name: z.string(),
    admins: z.array(z.string()).optional(),
    actions: z.array(z.string()).optional(),
  }),
  runTimeRights: z.array(z.string()),
  alsoCalling: listOf({ id: z.int(), name: z.string() }),
  missingScripts: z.array(z.string()),
  shims: shims.nullable(),
})
export const privacyideaCalls = z.strictObject({
  calls: listOf({ method: z.literal('POST'), path: z.string(), body: z.record(z.string(), z.unknown()) }),
})

const recipeSummary = {
  name: z.string(),
  title: z.string(),
  since: z.string(),
  own: z.boolean(),
  file: z.string(),
}
export const recipesList = z.strictObject({
  recipes: listOf({ ...recipeSummary, handlers: count, handlersInPrivacyIdea: count.nullable() }),
})
export const recipesShow = z.strictObject({
  ...recipeSummary,
  purpose: text,
  risk: text,
  needs: z.array(text),
  parameters: z.record(
    z.string(),
    z.strictObject({
      text,
      fallback: z.string().nullable(),
      choices: z.array(z.string()).nullable(),
      isSecret: z.boolean(),
    }),
  ),
  handlers: listOf({
    name: z.string(),
    when: z.record(z.string(), z.string()),
    events: z.array(z.string()),
    position: z.enum(['pre', 'post']),
    ordering: z.int(),
    module: z.string(),
    action: z.string(),
    conditions: z.record(z.string(), z.string()),
    options: z.record(z.string(), z.string()),
  }),
  prefix: z.string(),
})
export const recipesChange = z.strictObject({ recipe: z.string(), ...ofServer })

export const enrollOne = z.strictObject({
  login: z.string(),
  realm: z.string(),
  type: z.string(),
  /** Null: a dry run. */
  serial: z.string().nullable(),
  mailed: z.boolean(),
  dryRun: z.boolean(),
})
const rolloutRow = z.strictObject({
  login: z.string(),
  realm: z.string(),
  serial: z.string().nullable(),
  why: reasonOrNull,
})
export const enrollMany = z.strictObject({
  rollout: z.string(),
  dryRun: z.boolean(),
  users: count,
  made: z.array(rolloutRow),
  doneBefore: count,
  skipped: z.array(rolloutRow),
  failed: z.array(rolloutRow),
  left: count,
  stopped: failure.nullable(),
  namedAgain: count,
})

/** A time of the audit log, which is local: an instant where privacyIDEA's zone is known, else without a zone. */
const logTime = z.union([z.iso.datetime(), z.iso.datetime({ local: true })])
const peak = z.strictObject({ count, from: logTime.nullable() })
const limit = { maxLocks: count, per: z.string() }
export const rehearse = z.strictObject({
  version: z.string(),
  since: logTime,
  until: logTime,
  utcOffsetMinutes: z.number().nullable(),
  rows: count,
  locks: listOf({
    login: z.string(),
    realm: z.string().nullable(),
    serials: z.array(z.string()),
    from: logTime,
    to: logTime.nullable(),
    seconds: z.number().nullable(),
    confirmed: z.boolean(),
    end: z.enum(['seen', 'unseen', 'none']),
    fate: z.enum(['locked', 'protected', 'no-account', 'unknown']),
    why: text,
  }),
  rates: z.record(z.enum(['minute', 'tenMinutes', 'hour', 'day']), peak),
  lockedAtOnce: peak,
  breaker: z.strictObject({
    ...limit,
    limits: listOf(limit),
    usualMax: count,
    stopped: listOf({ day: z.iso.date(), count, exceeded: z.strictObject({ count, per: z.string() }) }),
  }),
  cannotTell: z.array(text),
})
