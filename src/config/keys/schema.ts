import {
  defaultInWords,
  DIRECTORY_TYPES,
  LOCK_CONFIGURED,
  locksInWords,
  quotedTypes,
} from '../../core/settings/directory-type.ts'
import { GUARDS, LOCK_BACKOFF, PROTECT } from './guard-keys.ts'
import { changing, derived, nullable, optionalSection, required, section, withDefault } from './keys.ts'
import { mailKey } from './mail.ts'
import * as values from './values.ts'
import { list, mapOf, Reason, section as sectionOf, single, type Keys, type ValueOf } from './value.ts'

/**
 * The YAML file, key by key: what is expected, the default, and what the manual says. The checks of the file,
 * docs/reference/configuration.md and docs/lockstep.schema.json are all made from here.
 */

function assigned(doc: string) {
  return derived(mapOf(values.texts, 'attributes and their values, as in { loginShell: /bin/false }'), null, doc)
}

const LOCK_STEP = {
  set: assigned('Locked means that the attribute holds exactly this.'),
  add: assigned('Locked means that the attribute holds this value, among others.'),
  remove: assigned('Locked means that the attribute does not hold this value.'),
  dn: derived(values.text, "the account's own entry", 'Another entry, for example a group.'),
}
const lockSteps = list(sectionOf(LOCK_STEP), 1, 16, '[{ set: { loginShell: /usr/sbin/nologin } }]')

const DIRECTORY = {
  type: changing('locks', required(values.choice(DIRECTORY_TYPES), `What locked means there. ${locksInWords()}`)),
  urls: required(
    list(values.directoryUrl, 1, 8, '[ldaps://ldap1.example.org]'),
    'Servers of one directory: the first that can be used does the work, and locks are looked at on each.',
  ),
  startTls: withDefault(
    values.choice(['required', 'off']),
    'required',
    'For `ldap://` URLs: `required` secures the connection before the bind; a loopback address needs none. `off` sends the password in the clear.',
  ),
  ca: nullable(values.path, 'PEM file of the certification authorities to trust. Without it those that Node.js ships.'),
  tlsServerName: nullable(values.text, "The name that the certificate must carry, where it is not the URL's host."),
  bindDn: required(
    values.bindName,
    'The account that Lockstep binds as. It is never locked; where it is named by a login, nobody is locked until its entry was found.',
  ),
  bindPasswordFile: derived(values.path, null, 'File that holds its password, mode 0600. This or `bindPasswordEnv`.'),
  bindPasswordEnv: derived(values.environmentName, null, 'Environment variable that holds its password.'),
  base: required(values.dn, 'Accounts are searched for below this entry.'),
  userFilter: derived(
    values.userFilter,
    defaultInWords('userFilter'),
    'How an account is found by login. `{login}` and `{realm}` are filled in, escaped.',
  ),
  loginAttribute: derived(
    values.attribute,
    'the attribute that userFilter compares with {login}',
    'The attribute that holds the login, to show it.',
  ),
  idAttribute: changing(
    'both',
    derived(
      values.attribute,
      defaultInWords('idAttribute'),
      'The attribute that identifies an account for good, also when it is renamed.',
    ),
  ),
  serialAttribute: changing(
    'serials',
    derived(
      values.attribute,
      defaultInWords('serialAttribute'),
      "The attribute that carries the serials of the account's tokens.",
    ),
  ),
  serialFormat: changing(
    'serials',
    withDefault(
      values.serialFormat,
      'privacyIDEA:{serial}',
      'How a serial is written there; other values are left alone.',
    ),
  ),
  connectTimeout: withDefault(values.duration(100, 120_000), '5s', 'To connect, secure and bind, each.'),
  operationTimeout: withDefault(values.duration(100, 300_000), '10s', 'For one search or modification.'),
  connectionsMax: withDefault(values.integer(1, 16), 2, 'Connections at most.'),
  inFlightMax: withDefault(values.integer(1, 256), 16, 'Operations at most that wait for an answer on one connection.'),
  lock: changing(
    'locks',
    derived(
      lockSteps,
      null,
      `Type ${quotedTypes(LOCK_CONFIGURED)} only: what makes an account locked. See "A custom lock".`,
    ),
  ),
  protect: section(PROTECT, 'Accounts of this directory that are never locked, beside those of `guards.protect`.'),
}

const directory = sectionOf(DIRECTORY)

const PRIVACYIDEA = {
  url: required(values.sourceUrl, "privacyIDEA's address, with the path it lies under, if any."),
  user: derived(values.text, null, 'The administrator that Lockstep logs in as, with the password below.'),
  realm: derived(
    values.text,
    null,
    'The realm of this user, for an administrator of a realm; left out for a local administrator.',
  ),
  passwordFile: derived(
    values.path,
    null,
    'File that holds the password, mode 0600. Or `passwordEnv`, or one of the keys of a token.',
  ),
  passwordEnv: derived(values.environmentName, null, 'Environment variable that holds the password.'),
  tokenFile: derived(
    values.path,
    null,
    'File that holds a token made for a service (PI_TRUSTED_JWT), mode 0600, in place of user and password. Read again when it is refused.',
  ),
  tokenEnv: derived(values.environmentName, null, 'Environment variable that holds such a token.'),
  apiKeyFile: derived(values.path, null, 'As `tokenFile`, for what `pi-manage api createtoken` printed.'),
  ca: nullable(values.path, 'PEM file of the certification authorities to trust. Without it those that Node.js ships.'),
  connectTimeout: withDefault(values.duration(100, 120_000), '5s', 'To connect and secure.'),
  timeout: withDefault(
    values.duration(1000, 300_000),
    '15s',
    'For one request. An answer that takes longer counts as none: nothing changes.',
  ),
  connectionsMax: withDefault(values.integer(1, 16), 4, 'Connections at most.'),
  pageSize: withDefault(values.integer(10, 1000), 500, 'Tokens at most in a page of the full resync.'),
  knownToken: derived(
    values.serial,
    null,
    'Serial of a token that is always there and shows for this account. An empty answer is trusted only while it shows; without the key any token does.',
  ),
}

const REALM_TARGETS_MAX = 16

/** One directory, several in their order, or null: none on purpose. */
const realmTarget = single(
  'the name of one of the directories, a list of some as in [corp, corp2], or null for none on purpose',
  {
    anyOf: [
      { type: 'string' },
      { type: 'array', minItems: 1, maxItems: REALM_TARGETS_MAX, uniqueItems: true, items: { type: 'string' } },
      { type: 'null' },
    ],
  },
  (raw): readonly string[] | Reason => {
    const names: readonly unknown[] = raw === null ? [] : Array.isArray(raw) ? raw : [raw]
    const isList = Array.isArray(raw)
    if (isList && (names.length === 0 || names.length > REALM_TARGETS_MAX)) return new Reason('')
    if (isList && new Set(names).size < names.length) return new Reason('a directory is there twice')
    const texts = names.filter((name) => typeof name === 'string')
    return texts.length === names.length ? texts : new Reason('')
  },
)

const ROOT = {
  privacyidea: optionalSection(
    PRIVACYIDEA,
    null,
    "How to read tokens from privacyIDEA's API. Left out: tokens are known by events alone.",
  ),
  directories: changing(
    'both',
    required(
      mapOf(directory, 'at least one directory under a name of lower-case letters, digits, _ and -, as in corp:'),
      'The directories, each under a name of your own (lower-case letters, digits, `_`, `-`).',
    ),
  ),
  realms: changing(
    'realms',
    withDefault(
      mapOf(realmTarget, 'realms and their directories, as in { example: corp }'),
      {},
      'Which directory a realm of privacyIDEA belongs to. May be left out where there is one directory: it then takes every realm. A list as in `{ example: [corp, corp2] }`: a user is looked for by the id that the resolver gave, in each; else by login, in the first that has it. `null`: the realm has no directory on purpose.',
    ),
  ),
  policy: section(
    {
      lockWhen: withDefault(
        values.choice(['any-token-locked', 'all-tokens-locked']),
        'any-token-locked',
        'When an account is to be locked: when one of its tokens is at its max fail count, or when all are. All: with `privacyidea` only.',
      ),
      disabledTokens: withDefault(
        values.choice(['ignore', 'count', 'lock']),
        'ignore',
        'What a disabled token means, with `privacyidea`: `ignore` nothing, as if it were not there; `count` by its fail counter, as any other; `lock` that it is locked.',
      ),
      revokedTokens: withDefault(values.choice(['ignore', 'count', 'lock']), 'ignore', 'The same of a revoked token.'),
      clearLockout: withDefault(
        values.flag,
        true,
        'Active Directory: an unlock also ends a lockout after too many wrong passwords (`lockoutTime: 0`), so that its user comes in again.',
      ),
      onForeignUnlock: withDefault(
        values.choice(['respect', 'relock', 'reset-token']),
        'respect',
        'Somebody removes our lock in the directory: `respect` ends the holds, `relock` writes the lock again, `reset-token` (with `privacyidea` only) ends the holds and resets the fail counters of their tokens.',
      ),
      mirrorDirectoryLocks: withDefault(
        values.choice(['off', 'user-lock', 'disable-tokens']),
        'off',
        'Somebody else locks or disables an account in the directory, with `privacyidea`: `user-lock` locks its user in privacyIDEA too (3.14), `disable-tokens` disables the tokens of that user there. Reverted when the directory releases the account, and only what was ours.',
      ),
      lockTtl: nullable(values.duration(1000), "A token's hold ends by itself after this time."),
      lockBackoff: optionalSection(LOCK_BACKOFF, null, 'With `lockTtl`: each further lock of an account lasts longer.'),
      resetTokenOnTtl: withDefault(
        values.flag,
        false,
        'With `lockTtl` and `privacyidea`: a hold that ends by itself resets the fail counter of its token.',
      ),
    },
    'What to do when.',
  ),
  guards: section(GUARDS, 'What keeps a mistake from doing harm.'),
  intake: section(
    {
      spool: changing('restart', withDefault(values.path, '/var/spool/lockstep', 'Folder that the shims write into.')),
      http: changing(
        'restart',
        optionalSection(
          {
            listen: changing(
              'restart',
              withDefault(values.listen, '127.0.0.1:8640', 'Address and port of the webhook.'),
            ),
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
              'Requests with the right secret at most in a second; and as many without it from each address.',
            ),
          },
          null,
          'The webhook. Left out: it is off.',
        ),
      ),
    },
    'How events come in.',
  ),
  resync: section(
    {
      scan: withDefault(
        values.duration(1000),
        '5s',
        'With `privacyidea`: how often the tokens with the highest fail counters, those that hold a lock, and user lockouts are looked at.',
      ),
      full: withDefault(
        values.duration(10_000),
        '15m',
        'How often every account of ours is compared with the directory, and with `privacyidea` every token.',
      ),
      shrinkLimit: withDefault(
        values.percent,
        '10%',
        'With `privacyidea`: a full resync that finds fewer tokens than the last one by more than this changes nothing, nor one that would take a larger part of the serials off a directory.',
      ),
    },
    'How often to look by itself.',
  ),
  store: changing('restart', withDefault(values.store, 'sqlite:/var/lib/lockstep/lockstep.db', 'The database.')),
  ldif: section(
    { dir: changing('restart', withDefault(values.path, '/var/lib/lockstep/ldif', 'Where the LDIF folders lie.')) },
    'The LDIF folders.',
  ),
  log: section(
    {
      format: withDefault(
        values.choice(['logfmt', 'json']),
        'logfmt',
        'A line an entry: `level message key=value …`, or one JSON object.',
      ),
      level: withDefault(
        values.choice(['info', 'warn', 'error']),
        'info',
        'What is less important is left out. Locks, unlocks and serials are `info`, refusals by a guard `warn`.',
      ),
      persons: withDefault(
        values.choice(['login', 'account-id']),
        'login',
        '`account-id`: no line names a person by login or DN: accounts are named by their ids, and reasons by their codes.',
      ),
    },
    "The log of `serve` and `drain`, on standard error: systemd's journal. See docs/reference/log.md.",
  ),
  health: section(
    {
      file: changing(
        'restart',
        derived(
          values.path,
          '`/run/lockstep/health` where the store lies in `/var/lib/lockstep`, else `health` beside the store',
          'Where the daemon, or a drain without one, writes how Lockstep is, in numbers and codes: for `lockstep status --check`. Everybody may read it.',
        ),
      ),
    },
    'What monitoring reads.',
  ),
  recipes: section(
    {
      dir: withDefault(
        values.path,
        '/etc/lockstep/recipes',
        'Where recipes of your own lie, beside those of Lockstep.',
      ),
    },
    'Recipes of event handlers (`lockstep recipes`).',
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
  mail: mailKey,
}

/** The keys of the top level. */
export const CONFIG_KEYS: Keys = ROOT
export const configFile = sectionOf(ROOT)

/** The file after its values were read: durations in milliseconds, sizes in bytes. */
export type ConfigFile = ValueOf<typeof configFile>
export type PrivacyIdeaFile = NonNullable<ConfigFile['privacyidea']>
export type MailFile = NonNullable<ConfigFile['mail']>
export type DirectoryFile = ValueOf<typeof directory>
