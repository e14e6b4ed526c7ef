import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'

/** The configuration of a site that upgrades: every key of 8d13252 is still read. */

const EVERY_KEY = readFileSync(new URL('../fixtures/8d13252/every-key.yaml', import.meta.url), 'utf8')
const LOGIN = / {2}user: lockstep\n {2}realm: admins\n {2}passwordFile: .*\n/

test('a configuration with every key of 8d13252 is read', () => {
  expect(() => parseConfig(EVERY_KEY, '/etc/lockstep/lockstep.yaml')).not.toThrow()
})

test.each([
  ['passwordEnv', EVERY_KEY.replace(/passwordFile: \/etc\/lockstep\/pi-password/, 'passwordEnv: PI_PASSWORD')],
  ['tokenFile', EVERY_KEY.replace(LOGIN, '  tokenFile: /etc/lockstep/token\n')],
  ['tokenEnv', EVERY_KEY.replace(LOGIN, '  tokenEnv: PI_TOKEN\n')],
  ['apiKeyFile', EVERY_KEY.replace(LOGIN, '  apiKeyFile: /etc/lockstep/key\n')],
  ['hookSecretEnv', EVERY_KEY.replace(/hookSecretFile: .*/, 'hookSecretEnv: HOOK_SECRET')],
  ['mail.passwordEnv', EVERY_KEY.replace(/passwordFile: .*mail-password/, 'passwordEnv: MAIL_PASSWORD')],
  ['dryRun: true', EVERY_KEY.replace(/dryRun: .*/, 'dryRun: true')],
  ['breaker: null', EVERY_KEY.replace(/ {2}breaker:\n(?: {4}.*\n)+/, '  breaker: null\n')],
])('so is %s in the place of another key', (_key, text) => {
  expect(text).not.toBe(EVERY_KEY)
  expect(() => parseConfig(text, '/etc/lockstep/lockstep.yaml')).not.toThrow()
})
