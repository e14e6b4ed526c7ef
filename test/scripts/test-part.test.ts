import { expect, test } from 'vitest'
import { filesOfParts, listOfParts } from '../../scripts/test-part.ts'
import { runTool } from '../servers/run-tool.ts'
import { fileURLToPath } from 'node:url'

const FILES = ['crash/kills.test.ts', 'daemon/drain.test.ts', 'daemon/reload.test.ts', 'mail/rollout.test.ts']
const SCRIPT = fileURLToPath(new URL('../../scripts/test-e2e.ts', import.meta.url))

test.each([
  [[], FILES],
  [['daemon'], ['daemon/drain.test.ts', 'daemon/reload.test.ts']],
  [['daemon/dr'], ['daemon/drain.test.ts']],
  [['test/e2e/mail'], ['mail/rollout.test.ts']],
  [
    ['e2e/crash/', 'rollout'],
    ['crash/kills.test.ts', 'mail/rollout.test.ts'],
  ],
])('a folder, a part of a name and several of them choose tests: %j', (parts, expected) => {
  expect(filesOfParts(FILES, parts)).toEqual(expected)
})

test('a part that stands for no test is refused although another one stands for some', () => {
  expect(filesOfParts(FILES, ['daemon', 'deamon'])).toBeNull()
})

test('what there is is listed by folder', () => {
  expect(listOfParts(FILES)).toBe('  crash/: kills\n  daemon/: drain, reload\n  mail/: rollout\n')
})

test('npm run test:e2e with an unknown part runs nothing, and lists what there is', async () => {
  const args = ['--disable-warning=ExperimentalWarning', SCRIPT, 'no-such-part']
  const { code, stdout, stderr } = await runTool(process.execPath, args)
  expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
  expect(stderr).toMatch(/^no test of test\/e2e has no-such-part in its name; there are:\n/)
  expect(stderr).toMatch(/\n {2}daemon\/: .*drain/)
})
