import type { DirectoryType } from '../../core/settings/directory-type.ts'

/** What was asked, or given by flags. */
export interface InitRequest {
  /** Absolute. */
  readonly file: string
  /** Of the directory in the configuration. */
  readonly name: string
  readonly type: DirectoryType
  readonly urls: readonly string[]
  readonly startTls: 'required' | 'off'
  /** Absolute, or null. */
  readonly ca: string | null
  readonly bindDn: string
  readonly bindPassword: { readonly text: string } | { readonly file: string }
  readonly base: string
  readonly userFilter: string
  readonly serialAttribute: string
  readonly serialFormat: string
  readonly realm: string | null
  /** `127.0.0.1:8640`, or null: no webhook. */
  readonly listen: string | null
  /** Absolute; holds store, LDIF folders and spool. Null: the system's folders. */
  readonly stateDir: string | null
  readonly force: boolean
}

/** The same as it goes into the file: paths are as written there, absolute or relative to it. */
export interface InitAnswers extends InitRequest {
  /** What a lock writes, and the page of the manual, for the comments. */
  readonly lockAttribute: string
  readonly page: string
  readonly bindPasswordFile: string
  readonly hookSecretFile: string
  readonly spool: string
  readonly store: string
  readonly ldifDir: string
}

/** Valid once "# " is removed from each line after the first four, and the files and the token exist. */
const PRIVACYIDEA_LINES = `# privacyIDEA's API (mode api, recommended): Lockstep asks privacyIDEA itself which tokens are locked, and does not depend on
# events. Without this section it believes the events (mode events). To switch it on, remove "# " from each line below, put in
# your values, and see docs/how-to/privacyidea-api.md. Where privacyIDEA's certificate is from an authority of your own, add ca: FILE.
#
# privacyidea:
#   url: https://pi.example.org
#   user: lockstep # an administrator of privacyIDEA that may list tokens
#   passwordFile: pi-password # holds their password; owned by the user that Lockstep runs as, mode 0600
#   knownToken: ALWAYS1 # serial of a token that always shows for them: an empty list is believed only while it does
`

/** The commented file. Every value is quoted where YAML requires it. */
export function configText(answers: InitAnswers): string {
  return `# Lockstep: keeps directory accounts in step with privacyIDEA tokens.
# Every key is described in docs/reference/configuration.md. "lockstep check" checks this file, "lockstep doctor" tries it.
# No secret stands here: keys that end in File name files of mode 0600.

directories:
  ${scalar(answers.name)}:
    type: ${answers.type}
    # Tried in this order.
    urls:
${answers.urls.map((url) => `      - ${scalar(url)}`).join('\n')}
${startTlsLines(answers)}${caLines(answers)}    # The account that Lockstep binds as. It needs write on ${answers.lockAttribute} and ${answers.serialAttribute} (${answers.page}).
    bindDn: ${scalar(answers.bindDn)}
    bindPasswordFile: ${scalar(answers.bindPasswordFile)}
    # Accounts are searched for below this entry, with this filter.
    base: ${scalar(answers.base)}
    userFilter: ${scalar(answers.userFilter)}
    # Where the serials of an account's tokens are written, and how. Other values are left alone.
    serialAttribute: ${scalar(answers.serialAttribute)}
    serialFormat: ${scalar(answers.serialFormat)}

${realmLines(answers)}
${PRIVACYIDEA_LINES}
policy:
  # Somebody takes our lock away in the directory: respect ends the hold, relock writes it again.
  onForeignUnlock: respect
  # A token's hold ends by itself after this time, as in 30m; null: never.
  lockTtl: null

guards:
  # true: plan and record, and write nothing into the directory. A good way to begin.
  dryRun: false
  # Accounts that are never locked: these DNs, members of these groups, those that match the filter. The bind account never is.
  protect:
    dns: []
    groups: []
    filter: null
  # Stops a mass lock-out: further locks wait for "lockstep review".
  breaker: { maxLocks: 20, per: 10m }

intake:
  # The shims write into it; "lockstep shims install DIR" makes both.
  spool: ${scalar(answers.spool)}
${httpLines(answers)}
store: ${scalar(`sqlite:${answers.store}`)}
ldif:
  # Who is locked, and how to undo it by hand with ldapmodify.
  dir: ${scalar(answers.ldifDir)}
`
}

function startTlsLines(answers: InitAnswers): string {
  if (answers.startTls === 'required') return ''
  return '    # The bind password crosses the network in the clear.\n    startTls: off\n'
}

function caLines(answers: InitAnswers): string {
  if (answers.ca !== null) return `    ca: ${scalar(answers.ca)}\n`
  return '    # PEM file of the certification authority, where it is your own.\n    # ca: ldap-ca.pem\n'
}

function realmLines(answers: InitAnswers): string {
  const comment =
    '# Which realm of privacyIDEA belongs to which directory. Without it, one directory takes every realm.\n'
  if (answers.realm === null) return `${comment}# realms: { example: ${answers.name} }\n`
  return `${comment}realms:\n  ${scalar(answers.realm)}: ${scalar(answers.name)}\n`
}

function httpLines(answers: InitAnswers): string {
  if (answers.listen === null) {
    return '  # The webhook is off. To switch it on:\n  # http: { listen: 127.0.0.1:8640, hookSecretFile: hook-secret, allow: [127.0.0.1/32] }\n'
  }
  return `  # The webhook: POST /hooks/privacyidea/<secret>/<register|lock|unlock|unregister>
  http:
    listen: ${JSON.stringify(answers.listen)}
    hookSecretFile: ${scalar(answers.hookSecretFile)}
    # Networks that may call; empty: this machine only.
    allow: []
`
}

const PLAIN = /^[A-Za-z/(][A-Za-z0-9_./=,:@+(){}&|!*-]*[A-Za-z0-9_/)]$/
const WORDS_OF_YAML = /^(?:true|false|null|yes|no|on|off)$/i

/** A text as YAML 1.2: plain where that is safe, else in double quotes, which JSON's are a subset of. */
function scalar(text: string): string {
  return PLAIN.test(text) && !WORDS_OF_YAML.test(text) ? text : JSON.stringify(text)
}
