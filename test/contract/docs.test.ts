import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CONTRACTS, contractOf } from '../../src/contract/contract.ts'
import { jsonPage, outputSchema } from '../../src/contract/docs.ts'

function shipped(name: string): string {
  return readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')
}

test('the page about JSON is the one that the schemas give (npm run docs)', () => {
  expect(shipped('reference/json.md')).toBe(jsonPage())
})

test('the JSON Schema of the output is the one that the schemas give (npm run docs)', () => {
  expect(shipped('lockstep-output.schema.json')).toBe(outputSchema())
})

test('every code of an answer is on the page', () => {
  const source = readFileSync(new URL('../../src/contract/verdict.ts', import.meta.url), 'utf8')
  const codes = [...source.matchAll(/^ {2}\| '([a-z-]+)'$/gm)].map((match) => match[1] ?? '')
  expect(codes.length).toBeGreaterThan(10)
  for (const code of codes) expect(shipped('reference/json.md')).toContain(`| \`${code}\` |`)
})

test.each([
  [['status', '--json'], 'status'],
  [['status', '--check', '--json'], 'status --check'],
  [['--config', 'x.yaml', 'journal', '--verify', '--json'], 'journal --verify'],
  [['review', '--json'], 'review list'],
  [['review', 'approve', 'alice', '--reason', 'x', '--json'], 'review approve'],
  [['enroll', '--group', 'cn=a', '--mail', '--json'], 'enroll --csv'],
  [['show', 'mail', '--json'], 'show'],
  [['serve'], undefined],
])('the contract of %j is that of %s', (args, command) => {
  expect(contractOf(args)?.command).toBe(command)
})

test('no field is promised as a number of milliseconds that is an instant', () => {
  const instants = [...outputSchema().matchAll(/"(\w+Ms)": \{/g)].map((match) => match[1] ?? '')
  expect([...new Set(instants)].toSorted()).toEqual(['oldestDueMs', 'recentForMs'])
  expect(CONTRACTS.size).toBeGreaterThan(40)
})
