import { z } from 'zod'
import { CONTRACTS, documentOf } from './contract.ts'

/** What docs/reference/json.md and docs/lockstep-output.schema.json are made of; scripts/generate-docs.ts writes them. */

const HEAD = `# JSON

Every command that prints data takes \`--json\` and prints one document, whatever happens:

\`\`\`json
{ "ok": true, "data": { } }
{ "ok": false, "error": { "code": "source-unreachable", "message": "…", "hint": "…" } }
{ "ok": false, "error": { "code": "not-done-yet", "message": "…", "hint": "…" }, "data": { } }
\`\`\`

\`ok\` says whether the exit code is 0. Where it is not, \`error.code\` says why; \`data\` is there as well where the command did
its work and the answer is no: mistakes that \`check\` found, a lock that is on record and not yet written.

- **Codes decide, sentences explain.** A reason is \`{ code, params, text }\`. \`code\` and the names of \`params\` stay as they are;
  \`text\`, \`message\`, \`hint\`, \`fix\` and \`details\` are for people and may be worded anew with any version. What \`params\` holds
  follows the same rules: a sentence within it is \`text\`, an instant \`since\`.
- **Instants** are RFC 3339 in UTC: \`2026-11-30T08:15:00.000Z\`. Their names end with \`At\`, or are \`at\`, \`since\`, \`until\`,
  \`from\`, \`to\`. A number whose name ends with \`Ms\` is a length of time in milliseconds.
- **Nothing is left out silently.** \`isCut\` is true where a list has more than was asked for (\`--limit\`). A value that is not
  there is \`null\`; a field that may be missing has a \`?\` below.
- New fields and new codes may come with any version: take what you know. A field is not renamed or removed without a note in
  the changelog.
- \`lockstep status --check\` has the exit codes of monitoring plugins, and \`ok\` follows them.

This page and [lockstep-output.schema.json](../lockstep-output.schema.json) (JSON Schema; \`$defs\` has one document a command) are generated
from the schemas that the tests hold every output against (\`npm run docs\`).

## What error.code can be besides

Errors by themselves have the codes of the log. These are answers:

| code | what it says |
|---|---|
| \`has-findings\` | \`check\`, \`doctor\`, \`shims test\`: something has to be set right |
| \`not-asked\` | a server could not be asked |
| \`not-done-yet\` | it is on record, and could not be carried out yet |
| \`protected\` | the hold is on record, and the account is never locked |
| \`not-effective\` | the lock is written, and is not enforced |
| \`still-locked\` | the user is still locked out |
| \`reset-refused\` | unlocked, and privacyIDEA refuses to reset the fail counter |
| \`nothing-matched\` | nothing was found that the words name |
| \`another-person-needed\` | the same person approved it before |
| \`chain-broken\` | the journal was changed or cut |
| \`not-all-read\` | \`rebuild\`: some of it could not be taken in |
| \`not-fit\` | no daemon serves, or it cannot do its work |
| \`directory-changed\` | another directory answers than the one on record |

## What several documents have

`

/** As far as this page needs it (JSON Schema 2020-12). */
interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly format?: string
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: Schema | boolean
  readonly $defs?: Readonly<Record<string, Schema>>
}

export function jsonPage(): string {
  const parts = new Map<string, Schema>()
  const commands = [...CONTRACTS.values()].map(({ command, about, data }) => {
    const schema = z.toJSONSchema(data) as Schema
    for (const [name, part] of Object.entries(schema.$defs ?? {})) parts.set(name, part)
    return section(`lockstep ${command}`, about, schema)
  })
  const common = [...parts].toSorted(([a], [b]) => a.localeCompare(b)).map(([name, part]) => section(name, '', part))
  return `${HEAD}${common.join('\n')}\n## data, command by command\n\n${commands.join('\n')}`
}

/** In `$defs`: one document a command by its name, and what they share. */
export function outputSchema(): string {
  const documents: Record<string, unknown> = {}
  const parts: Record<string, unknown> = {}
  for (const { command, about, data } of CONTRACTS.values()) {
    const { $defs = {}, $schema: _dialect, ...document } = z.toJSONSchema(documentOf(data), { override: withoutBounds })
    Object.assign(parts, $defs)
    documents[command] = { description: about, ...document }
  }
  const dialect = 'https://json-schema.org/draft/2020-12/schema'
  return `${JSON.stringify({ $schema: dialect, $defs: { ...documents, ...parts } }, null, 1)}\n`
}

/** A whole number is one that JSON can hold: to state it for each makes the file twice as long. */
function withoutBounds({ jsonSchema }: { readonly jsonSchema: { minimum?: number; maximum?: number } }): void {
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
}

function section(title: string, about: string, schema: Schema): string {
  const said = about === '' ? '' : `${about.charAt(0).toUpperCase()}${about.slice(1)}.\n\n`
  return `### ${title}\n\n${said}\`\`\`text\n${shape(schema, '')}\n\`\`\`\n`
}

function shape(schema: Schema, indent: string): string {
  if (schema.$ref !== undefined) return schema.$ref.replace('#/$defs/', '')
  if ('const' in schema) return JSON.stringify(schema.const)
  if (schema.enum !== undefined) return schema.enum.map((each) => JSON.stringify(each)).join(' | ')
  const either = schema.anyOf ?? schema.oneOf
  if (either !== undefined) return [...new Set(either.map((each) => shape(each, indent)))].join(' | ')
  if (schema.type === 'array') return arrayOf(shape(schema.items ?? {}, indent))
  if (schema.type === 'object') return objectShape(schema, indent)
  return schema.format ?? [schema.type ?? 'anything'].flat().join(' | ')
}

function arrayOf(item: string): string {
  return /^\w+$/.test(item) || item.startsWith('{') ? `${item}[]` : `(${item})[]`
}

function objectShape({ properties, required = [], additionalProperties }: Schema, indent: string): string {
  if (properties === undefined) {
    const value = typeof additionalProperties === 'object' ? shape(additionalProperties, indent) : 'anything'
    return `{ [name]: ${value} }`
  }
  const inner = `${indent}  `
  const lines = Object.entries(properties).map(
    ([name, each]) => `${inner}${name}${required.includes(name) ? '' : '?'}: ${shape(each, inner)}`,
  )
  return `{\n${lines.join('\n')}\n${indent}}`
}
