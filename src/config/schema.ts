import * as z from 'zod/mini'
import * as values from './values.ts'
import type { Value } from './values.ts'

/**
 * The YAML file, key by key: the schema that it is checked against, and beside each key what the manual says of it.
 * docs/configuration.md and docs/lockstep.schema.json are generated from here.
 */
export interface KeyDoc {
  readonly doc: string
  /** Completes "expected …". */
  readonly expected: string
  /** The same of one element, for a list. */
  readonly each: string | null
  /** As it would be written; null: there is none. */
  readonly fallback: string | null
  readonly required: boolean
  /** Values that are known and that this version refuses. */
  readonly later: readonly string[]
  /** True: the key is known and this version cannot act on it. */
  readonly notYet: boolean
  /** Keys below it; `map`: any name, and below each the keys. */
  readonly children: Readonly<Record<string, z.ZodMiniType>> | null
  readonly map: z.ZodMiniType | null
}

const DOCS = new WeakMap<object, KeyDoc>()

const NO_DOC: KeyDoc = {
  doc: '',
  expected: '',
  each: null,
  fallback: null,
  required: false,
  later: [],
  notYet: false,
  children: null,
  map: null,
}

export function docOf(schema: object): KeyDoc {
  return DOCS.get(schema) ?? NO_DOC
}

function documented<Schema extends z.ZodMiniType>(schema: Schema, doc: Partial<KeyDoc>): Schema {
  DOCS.set(schema, { ...NO_DOC, ...doc })
  return schema
}

function told(value: Value): Pick<KeyDoc, 'expected' | 'later' | 'each'> {
  return { expected: value.expected, later: value.later ?? [], each: value.each ?? null }
}

function required<Schema extends z.ZodMiniType>(value: Value<Schema>, doc: string): Schema {
  return documented(z.clone(value.schema), {
    doc,
    ...told(value),
    required: true,
  })
}

/** A key with a default, given as it would be written in the file. */
function withDefault<Schema extends z.ZodMiniType>(value: Value<Schema>, fallback: z.input<Schema>, doc: string) {
  const schema = z.prefault(value.schema, fallback)
  return documented(schema, { doc, ...told(value), fallback: shown(fallback) })
}

/** A key that may be left out or be null, and is null then. */
function nullable<Schema extends z.ZodMiniType>(value: Value<Schema>, doc: string) {
  const schema = z.prefault(z.nullable(value.schema), null)
  return documented(schema, { doc, ...told(value), expected: `${value.expected}, or null`, fallback: 'null' })
}

function shown(fallback: unknown): string {
  return typeof fallback === 'string' ? fallback : JSON.stringify(fallback)
}

/** A key whose default depends on other keys; `fallback` tells it in words. */
function derived<Schema extends z.ZodMiniType>(value: Value<Schema>, fallback: string | null, doc: string) {
  const schema = z.optional(value.schema)
  return documented(schema, { doc, ...told(value), fallback })
}

function list<Schema extends z.ZodMiniType>(value: Value<Schema>, min: number, max: number, example: string) {
  const schema = z.array(value.schema).check(z.minLength(min), z.maxLength(max))
  return { schema, expected: `a list with ${min} to ${max} entries, as in ${example}`, each: value.expected }
}

function section<Shape extends Record<string, z.ZodMiniType>>(shape: Shape, doc: string) {
  const schema = z.prefault(z.strictObject(shape), {} as never)
  return documented(schema, { doc, expected: 'a section with keys of its own', children: shape })
}

/** A section that `null` switches off; `fallback` is what leaving it out means: its own defaults, or null. */
function optionalSection<Shape extends Record<string, z.ZodMiniType>>(shape: Shape, fallback: {} | null, doc: string) {
  const schema = z.prefault(z.nullable(z.strictObject(shape)), fallback as never)
  const expected = 'a section with keys of its own, or null'
  return documented(schema, { doc, expected, children: shape, fallback: fallback === null ? 'null' : null })
}

function notYet(doc: string) {
  return documented(z.optional(z.unknown()), { doc: `Not in this version yet: ${doc}`, notYet: true })
}

/** Attribute to value or values. */
const assignedValue = documented(
  z.union([values.text.schema, z.array(values.text.schema).check(z.minLength(1), z.maxLength(64))]),
  { expected: 'a value or a list of values' },
)
function assigned(doc: string) {
  const schema = z.optional(z.record(values.attribute.schema, assignedValue))
  return documented(schema, {
    doc,
    expected: 'attributes and their values, as in { loginShell: /bin/false }',
    map: assignedValue,
  })
}
const LOCK_STEP = {
  set: assigned('Locked means that the attribute holds exactly this.'),
  add: assigned('Locked means that the attribute holds this value, among others.'),
  remove: assigned('Locked means that the attribute does not hold this value.'),
  dn: derived(values.text, "the account's own entry", 'Another entry, for example a group.'),
}
const lockSteps = {
  schema: z.array(z.strictObject(LOCK_STEP)).check(z.minLength(1), z.maxLength(16)),
  expected: 'a list with 1 to 16 steps, as in [{ set: { loginShell: /usr/sbin/nologin } }]',
  each: 'one of set, add, remove with attributes and values, and perhaps dn',
}

const DIRECTORY = {
  type: required(
    values.choice(['openldap', 'custom'], ['active-directory', '389ds', 'freeipa']),
    'What locked means there. `openldap`: `pwdAccountLockedTime` of the password policy overlay. `custom`: what the key `lock` says.',
  ),
  urls: required(list(values.directoryUrl, 1, 8, '[ldaps://ldap1.example.org]'), 'Servers, tried in this order.'),
  startTls: withDefault(
    values.choice(['required', 'off']),
    'required',
    'For `ldap://` URLs: `required` secures the connection before the bind; a loopback address needs none. `off` sends the password in the clear.',
  ),
  ca: nullable(values.path, 'PEM file of the certification authorities to trust. Without it those that Node.js ships.'),
  tlsServerName: nullable(values.text, "The name that the certificate must carry, where it is not the URL's host."),
  bindDn: required(values.dn, 'The account that Lockstep binds as.'),
  bindPasswordFile: derived(values.path, null, 'File that holds its password, mode 0600. This or `bindPasswordEnv`.'),
  bindPasswordEnv: derived(values.environmentName, null, 'Environment variable that holds its password.'),
  base: required(values.dn, 'Accounts are searched for below this entry.'),
  userFilter: withDefault(
    values.userFilter,
    '(uid={login})',
    'How an account is found by login. `{login}` and `{realm}` are filled in, escaped.',
  ),
  loginAttribute: derived(
    values.attribute,
    'the attribute that userFilter compares with {login}',
    'The attribute that holds the login, to show it.',
  ),
  idAttribute: withDefault(
    values.attribute,
    'entryUUID',
    'The attribute that identifies an account for good, also when it is renamed.',
  ),
  serialAttribute: withDefault(
    values.attribute,
    'description',
    "The attribute that carries the serials of the account's tokens.",
  ),
  serialFormat: withDefault(
    values.serialFormat,
    'privacyIDEA:{serial}',
    'How a serial is written there; other values are left alone.',
  ),
  connectTimeout: withDefault(values.duration(100, 120_000), '5s', 'To connect, secure and bind, each.'),
  operationTimeout: withDefault(values.duration(100, 300_000), '10s', 'For one search or modification.'),
  connectionsMax: withDefault(values.integer(1, 16), 2, 'Connections at most.'),
  inFlightMax: withDefault(values.integer(1, 256), 16, 'Operations at most that wait for an answer on one connection.'),
  lock: documented(z.optional(lockSteps.schema), {
    ...told(lockSteps),
    doc: 'Type `custom` only: what makes an account locked. See "A custom lock".',
    children: LOCK_STEP,
  }),
}

const directory = documented(z.strictObject(DIRECTORY), {
  expected: 'a section with keys of its own',
  children: DIRECTORY,
})
const realmName = z.string().check(z.minLength(1), z.maxLength(255))
const targetName: Value<z.ZodMiniString> = { schema: z.string(), expected: 'the name of one of the directories' }
const realmTarget = documented(z.clone(targetName.schema), { expected: targetName.expected })

const ROOT = {
  privacyidea: notYet("reading tokens from privacyIDEA's API."),
  directories: documented(z.record(z.string(), directory), {
    doc: 'The directories, each under a name of your own (lower-case letters, digits, `_`, `-`).',
    expected: 'at least one directory under a name of lower-case letters, digits, _ and -, as in corp:',
    required: true,
    map: directory,
  }),
  realms: documented(z.prefault(z.record(realmName, realmTarget), {}), {
    doc: 'Which directory a realm of privacyIDEA belongs to. May be left out where there is one directory: it then takes every realm.',
    expected: 'realms and their directories, as in { example: corp }',
    fallback: '{}',
    map: realmTarget,
  }),
  policy: section(
    {
      lockWhen: withDefault(
        values.choice(['any-token-locked'], ['all-tokens-locked']),
        'any-token-locked',
        'When an account is to be locked.',
      ),
      onForeignUnlock: withDefault(
        values.choice(['respect', 'relock'], ['reset-token']),
        'respect',
        'Somebody takes our lock away in the directory: `respect` ends the holds, `relock` writes the lock again.',
      ),
      lockTtl: nullable(values.duration(1000), "A token's hold ends by itself after this time."),
    },
    'What to do when.',
  ),
  guards: section(
    {
      dryRun: withDefault(values.flag, false, 'Plan and record, and write nothing into a directory.'),
      protect: section(
        {
          filter: nullable(values.filter, 'An account that matches it is never locked.'),
          dns: withDefault(
            list(values.dn, 0, 1000, '["cn=admin,dc=example,dc=org"]'),
            [],
            'These accounts are never locked. The bind account never is.',
          ),
        },
        'Accounts that are never locked, in every directory.',
      ),
      breaker: optionalSection(
        {
          maxLocks: withDefault(values.integer(1, 1_000_000), 20, 'Locks at most within `per`.'),
          per: withDefault(values.duration(1000), '10m', 'The window of time.'),
        },
        null,
        'Stops a mass lock-out: further locks wait. Without it there is no limit.',
      ),
    },
    'What keeps a mistake from doing harm.',
  ),
  intake: section(
    {
      spool: withDefault(values.path, '/var/spool/lockstep', 'Folder that the shims write into.'),
      http: optionalSection(
        {
          listen: withDefault(values.listen, '127.0.0.1:8640', 'Address and port of the webhook.'),
          hookSecretFile: derived(
            values.path,
            null,
            'File that holds the secret part of the URL, mode 0600. This or `hookSecretEnv`.',
          ),
          hookSecretEnv: derived(values.environmentName, null, 'Environment variable that holds it.'),
          allow: withDefault(
            list(values.cidr, 0, 256, '[192.0.2.0/24]'),
            [],
            'Networks that may call. Empty: this machine only.',
          ),
          bodyLimit: withDefault(values.size(256, 1024 * 1024), '64KiB', 'A larger request is refused.'),
          rateLimit: withDefault(
            values.integer(1, 100_000),
            100,
            'Requests at most in a second, from one address and in all.',
          ),
        },
        null,
        'The webhook. Left out: it is off.',
      ),
    },
    'How events come in.',
  ),
  resync: section(
    {
      scan: derived(
        values.duration(1000),
        null,
        'Has no effect in this version: it belongs to reading tokens from privacyIDEA.',
      ),
      full: withDefault(
        values.duration(10_000),
        '15m',
        'How often every account of ours is compared with the directory.',
      ),
    },
    'How often to look by itself.',
  ),
  store: withDefault(values.store, 'sqlite:/var/lib/lockstep/lockstep.db', 'The database.'),
  ldif: section(
    { dir: withDefault(values.path, '/var/lib/lockstep/ldif', 'Where the LDIF folders lie.') },
    'The LDIF folders.',
  ),
  retention: section(
    {
      events: withDefault(
        values.duration(3_600_000),
        '30d',
        'Events that decide nothing any more are dropped after this.',
      ),
      journal: withDefault(
        values.duration(3_600_000),
        '90d',
        'Older journal records are archived to files beside the database.',
      ),
      journalRecords: withDefault(
        values.integer(1000, 100_000_000),
        1_000_000,
        'Journal records in the database at most.',
      ),
      history: withDefault(
        values.duration(3_600_000),
        '365d',
        'Older journal archives and LDIF history files are removed.',
      ),
    },
    'What is kept, and how long.',
  ),
  mail: notYet('mail to users and administrators.'),
}

export const configSchema = documented(z.strictObject(ROOT), { children: ROOT })

/** The file after its values were converted: durations in milliseconds, sizes in bytes. */
export type ConfigFile = z.output<typeof configSchema>
export type DirectoryFile = z.output<typeof directory>

/** What the manual says of the key at a path; numbers are places in a list. Undefined: there is no such key. */
export function keyDoc(path: readonly PropertyKey[]): KeyDoc | undefined {
  let schema: z.ZodMiniType = configSchema
  for (const part of path) {
    if (typeof part === 'number') continue
    const { children, map }: KeyDoc = docOf(schema)
    const next: z.ZodMiniType | null | undefined = map ?? children?.[String(part)]
    if (next === undefined || next === null) return undefined
    schema = next
  }
  const doc = docOf(schema)
  return typeof path.at(-1) === 'number' && doc.each !== null ? { ...doc, expected: doc.each } : doc
}
