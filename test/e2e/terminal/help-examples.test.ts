import { expect } from 'vitest'
import { HELP_PAGES } from '../../../src/cli/help/format.ts'
import { lockstep, lockstepTest as test } from '../../support/fixture.ts'
import { wordsOf } from '../../support/command-words.ts'
import { asAdmin } from '../../support/privacyidea-arguments.ts'

/** The examples of help, run beside a daemon, in the order of the pages. */

/** They need privacyIDEA, root, a mail server or a terminal, or they go on until they are ended. */
const NOT_HERE = /^(?:init|serve|rehearse|enroll|shims .*|privacyidea .*|recipes (?:apply|remove)|mail test|resync)$/
const NOT_THIS = /--user |--privacyidea-admin |mail preview|--reset-token/
/** What the examples name, and what is there in its place. */
const NAMES: Readonly<Record<string, string>> = { alice: 'u1', main: 'corp', 'test-user': 'u2' }

test.override('slapdOptions', { users: 3 })
test.beforeAll(async () => {
  await lockstep.shim('register', asAdmin('TOTP0001', 'u1'))
  await lockstep.settled()
})

const EXAMPLES = Object.entries(HELP_PAGES).flatMap(([name, { examples, exits }]) =>
  examples
    .filter(([, line]) => !NOT_HERE.test(name) && !NOT_THIS.test(line))
    .map(([, line]) => ({ line, exits: [0, ...Object.keys(exits ?? {}).map(Number)] })),
)

test.each(EXAMPLES)('$line ends with a code that its help names', async ({ line, exits }) => {
  const ran = await lockstep.cli(...wordsOf(line).map((word) => NAMES[word] ?? word))
  expect(ran.code, ran.stdout + ran.stderr).not.toBe(64)
  expect(exits, ran.stdout + ran.stderr).toContain(ran.code)
})

test('most commands are among them', () => {
  expect(EXAMPLES.length).toBeGreaterThan(40)
})
