import { LOCK_CONFIGURED, USUAL_TYPE } from '../core/settings/directory-type.ts'
import { CONFIG_KEYS, configFile } from './keys/schema.ts'
import type { Key, Keys } from './keys/value.ts'

type Change = Key<unknown>['change']

const CHANGES: Readonly<Record<Change, string>> = {
  reload: 'reloads',
  restart: '**needs a restart**',
  serials: 'reloads; refused while serials of ours stand there',
  locks: 'reloads; refused while locks of ours stand there',
  both: 'reloads; refused while locks or serials of ours stand there',
  realms: 'reloads; refused where a realm loses a directory in which its accounts hold locks or serials of ours',
}

/** What docs/reference/configuration.md and docs/lockstep.schema.json are made of; scripts/generate-docs.ts writes them. */

const HEAD = `# Configuration

One YAML file: \`--config FILE\`, else the environment variable \`LOCKSTEP_CONFIG\`, else \`./lockstep.yaml\`, else
\`/etc/lockstep/lockstep.yaml\`. \`lockstep init\` writes one, \`lockstep check\` checks it and names the line, the column and
the key of every mistake, \`lockstep doctor\` tries it against the directory.

This page and [lockstep.schema.json](../lockstep.schema.json) are generated from the schema that checks the file
(\`npm run docs\`). For completion in an editor, begin the file with

\`\`\`yaml
# yaml-language-server: $schema=./lockstep.schema.json
\`\`\`

Durations are written \`250ms\`, \`5s\`, \`10m\`, \`2h\`, \`30d\`; sizes \`512B\`, \`64KiB\`, \`1MiB\`. Paths are absolute, or relative
to the folder of the file. A key that is not listed here is refused. Secrets never stand in the file: a key that ends in
\`File\` names a file of mode 0600 that holds the secret alone, one that ends in \`Env\` an environment variable.

## What a change takes

\`lockstep reload\`, \`systemctl reload lockstep\` and SIGHUP load the file while the daemon works ([change-configuration.md](../how-to/change-configuration.md)).
The last column says of each key whether that is enough. Before locks or serials of ours would be lost by a change it is refused, with their number.

## The smallest file

\`\`\`yaml
directories:
  corp:
    type: ${USUAL_TYPE}
    urls: [ldaps://ldap.example.org]
    bindDn: cn=lockstep,ou=services,dc=example,dc=org
    bindPasswordFile: /etc/lockstep/ldap-password
    base: ou=people,dc=example,dc=org
\`\`\`

## Every key
`

const TAIL = `
## A custom lock

With \`type: ${LOCK_CONFIGURED.join(', ')}\` the key \`lock\` says what a locked account looks like, as a list of steps. All of them are written
when the account is locked; each is reverted, to what was there before, when it is unlocked. \`{dn}\` and \`{login}\`
are those of the account.

\`\`\`yaml
lock:
  - set: { loginShell: /usr/sbin/nologin } # the attribute holds exactly this
  - set: { shadowExpire: "1" }
  - add: { member: "{dn}" } # one value among others
    dn: cn=locked,ou=groups,dc=example,dc=org # of another entry
  - remove: { memberUid: "{login}" }
    dn: cn=vpn,ou=groups,dc=example,dc=org
\`\`\`
`

/** The whole of docs/reference/configuration.md. */
export function configurationPage(): string {
  return `${HEAD}${sections(CONFIG_KEYS, '', [], null)}${TAIL}`
}

/** A part for every section, and a table in it. */
function sections(keys: Keys, doc: string, path: readonly string[], within: Change | null): string {
  const title = path.length === 0 ? 'The top level' : `\`${path.join('.')}\``
  const rows = Object.entries(keys).map(([name, key]) => row(name, key, within ?? key.change))
  const intro = doc === '' ? '' : `${doc}\n\n`
  const table = [
    '| key | what it is | expected | default | a change |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
  const below = Object.entries(keys).map(([name, key]) => {
    const { children, named } = key.value
    const inner = children ?? named?.children ?? null
    // An element is a part of its list, and changes with it.
    const isList = key.value.each !== ''
    const at = [...path, name, ...(named === null ? [] : ['<name>'])]
    return inner === null ? '' : sections(inner, key.doc, at, isList ? key.change : within)
  })
  return `\n### ${title}\n\n${intro}${table}\n${below.join('')}`
}

function row(name: string, { doc, value, missing, fallback }: Key<unknown>, change: Change): string {
  const expected = value.each === '' ? value.expected : `${value.expected}; each: ${value.each}`
  return `| \`${name}\` | ${cell(doc)} | ${cell(expected)} | ${cell(missing === null ? '**required**' : showFallback(fallback))} | ${change === 'reload' && isPlainSection(value) ? 'see below' : CHANGES[change]} |`
}

/** It has nothing but its keys. */
function isPlainSection({ children, each, expected }: Key<unknown>['value']): boolean {
  return children !== null && each === '' && expected.startsWith('a section') && !expected.endsWith('or null')
}

function showFallback(fallback: string | null): string {
  if (fallback === null) return ''
  return fallback.includes(' ') ? fallback : `\`${fallback}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}

/** The whole of docs/lockstep.schema.json: JSON Schema 2020-12 of the file. */
export function jsonSchema(): string {
  const head = { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'lockstep.yaml' }
  return `${JSON.stringify({ ...head, ...configFile.json() }, null, 2)}\n`
}
