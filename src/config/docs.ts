import * as z from 'zod/mini'
import { configSchema, docOf, type KeyDoc } from './schema.ts'

/** What docs/configuration.md and docs/lockstep.schema.json are made of; scripts/generate-docs.ts writes them. */

const HEAD = `# Configuration

One YAML file: \`--config FILE\`, else the environment variable \`LOCKSTEP_CONFIG\`, else \`./lockstep.yaml\`, else
\`/etc/lockstep/lockstep.yaml\`. \`lockstep init\` writes one, \`lockstep check\` checks it and names the line, the column and
the key of every mistake, \`lockstep doctor\` tries it against the directory.

This page and [lockstep.schema.json](lockstep.schema.json) are generated from the schema that checks the file
(\`npm run docs\`). For completion in an editor, begin the file with

\`\`\`yaml
# yaml-language-server: $schema=./lockstep.schema.json
\`\`\`

Durations are written \`250ms\`, \`5s\`, \`10m\`, \`2h\`, \`30d\`; sizes \`512B\`, \`64KiB\`, \`1MiB\`. Paths are absolute, or relative
to the folder of the file. A key that is not listed here is refused. Secrets never stand in the file: a key that ends in
\`File\` names a file of mode 0600 that holds the secret alone, one that ends in \`Env\` an environment variable.

## The smallest file

\`\`\`yaml
directories:
  corp:
    type: openldap
    urls: [ldaps://ldap.example.org]
    bindDn: cn=lockstep,ou=services,dc=example,dc=org
    bindPasswordFile: /etc/lockstep/ldap-password
    base: ou=people,dc=example,dc=org
\`\`\`

## Every key
`

const TAIL = `
## A custom lock

With \`type: custom\` the key \`lock\` says what a locked account looks like, as a list of steps. All of them are written
when the account is locked; each is taken back, to what stood there before, when it is unlocked. \`{dn}\` and \`{login}\`
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

/** The whole of docs/configuration.md. */
export function configurationPage(): string {
  return `${HEAD}${sections(docOf(configSchema), [])}${TAIL}`
}

/** A section for every group of keys, and a table in it. */
function sections(doc: KeyDoc, path: readonly string[]): string {
  const children = Object.entries(doc.children ?? {})
  if (children.length === 0) return ''
  const title = path.length === 0 ? 'The top level' : `\`${path.join('.')}\``
  const rows = children.map(([name, schema]) => row(name, docOf(schema)))
  const intro = doc.doc === '' ? '' : `${doc.doc}\n\n`
  const table = ['| key | what it is | expected | default |', '| --- | --- | --- | --- |', ...rows].join('\n')
  const below = children.map(([name, schema]) => {
    const child = docOf(schema)
    const inMap = child.map === null ? '' : sections({ ...docOf(child.map), doc: child.doc }, [...path, name, '<name>'])
    return sections(child, [...path, name]) + inMap
  })
  return `\n### ${title}\n\n${intro}${table}\n${below.join('')}`
}

function row(name: string, doc: KeyDoc): string {
  const expected = doc.each === null || doc.each === '' ? doc.expected : `${doc.expected}; each: ${doc.each}`
  const later = doc.later.length === 0 ? '' : ` (not in this version yet: ${doc.later.join(', ')})`
  const fallback = doc.required
    ? '**required**'
    : doc.fallback === null
      ? ''
      : doc.fallback.includes(' ')
        ? doc.fallback
        : `\`${doc.fallback}\``
  return `| \`${name}\` | ${cell(doc.doc)} | ${cell(expected + later)} | ${cell(fallback)} |`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}

/** The whole of docs/lockstep.schema.json: JSON Schema 2020-12 of what may stand in the file. */
export function jsonSchema(): string {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema: json }) => {
      const doc = docOf(zodSchema)
      const text = [doc.doc, doc.expected === '' ? '' : `Expected: ${doc.expected}.`]
        .filter((each) => each !== '')
        .join(' ')
      if (text !== '') json.description = text
    },
  })
  return `${JSON.stringify({ ...schema, title: 'lockstep.yaml' }, null, 2)}\n`
}
