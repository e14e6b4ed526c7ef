import { writeFile } from 'node:fs/promises'
import { configurationPage, jsonSchema } from '../src/config/docs.ts'
import { jsonPage, outputSchema } from '../src/contract/docs.ts'

/** Writes the pages that are made from the source. A test fails when they are stale. */
await writeFile(new URL('../docs/reference/configuration.md', import.meta.url), configurationPage())
await writeFile(new URL('../docs/lockstep.schema.json', import.meta.url), jsonSchema())
await writeFile(new URL('../docs/reference/json.md', import.meta.url), jsonPage())
await writeFile(new URL('../docs/lockstep-output.schema.json', import.meta.url), outputSchema())
