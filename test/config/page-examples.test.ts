import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse, stringify } from 'yaml'
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** What an example stands in: the sections that the others refer to. */
const AROUND = {
  privacyidea: { url: 'https://pi.example.org', user: 'lockstep', passwordFile: '/etc/lockstep/pi-password' },
  directories: {
    corp: {
      type: 'openldap',
      urls: ['ldaps://ldap.example.org'],
      bindDn: 'cn=lockstep,ou=services,dc=example,dc=org',
      bindPasswordFile: '/etc/lockstep/ldap-password',
      base: 'ou=people,dc=example,dc=org',
    },
  },
}
const SECTIONS = ['privacyidea', 'directories', 'realms', 'policy', 'guards', 'intake', 'resync', 'retention', 'mail']

const pages = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => `docs/${name}`),
]
const examples = pages
  .filter((page) => page.endsWith('.md'))
  .flatMap((page) =>
    [...readFileSync(join(ROOT, page), 'utf8').matchAll(/^```yaml\n(.*?)^```/gms)].flatMap(([, text = '']) => {
      const keys = Object.keys((parse(text) ?? {}) as object)
      return keys.length > 0 && keys.every((key) => SECTIONS.includes(key))
        ? [{ page, text, keys: keys.join(', ') }]
        : []
    }),
  )

test('the pages have examples of the configuration', () => {
  expect(new Set(examples.map(({ page }) => page)).size).toBeGreaterThan(4)
})

test.each(examples)('the example of $keys in $page is good as it stands there', ({ text }) => {
  const whole = stringify(merged(AROUND, parse(text)))
  expect(() => parseConfig(whole, '/etc/lockstep/lockstep.yaml')).not.toThrow()
})

function merged(below: unknown, above: unknown): unknown {
  if (!isPlain(below) || !isPlain(above)) return above
  const keys = new Set([...Object.keys(below), ...Object.keys(above)])
  return Object.fromEntries([...keys].map((key) => [key, key in above ? merged(below[key], above[key]) : below[key]]))
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
