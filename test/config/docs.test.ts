import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { configurationPage, jsonSchema } from '../../src/config/docs.ts'
import { parseConfig } from '../../src/config/load.ts'

function shipped(name: string): string {
  return readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')
}

test('the manual of the configuration is the one that the schema gives (npm run docs)', () => {
  expect(shipped('reference/configuration.md')).toBe(configurationPage())
})

test('the JSON Schema for editors is the one that the schema gives (npm run docs)', () => {
  expect(shipped('lockstep.schema.json')).toBe(jsonSchema())
})

test('every example of the manual is accepted', () => {
  const blocks = [...shipped('reference/configuration.md').matchAll(/```yaml\n(.*?)```/gs)].map(
    (match) => match[1] ?? '',
  )
  const [, smallest, lock] = blocks
  expect(parseConfig(smallest ?? '', '/etc/lockstep/lockstep.yaml').warnings).toEqual([])
  const custom: unknown = {
    directories: { corp: { ...parse(smallest ?? '').directories.corp, type: 'custom', ...parse(lock ?? '') } },
  }
  expect(parseConfig(JSON.stringify(custom), '/x.yaml').settings.directories[0]?.lock).toHaveLength(4)
})
