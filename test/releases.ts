import { RELEASES, type ReleaseName } from './servers/privacyidea/privacyidea.ts'

export const RELEASE_NAMES = Object.keys(RELEASES) as ReleaseName[]

/**
 * The test files that run once for each of these versions of privacyIDEA; every other file runs once. Each version is a project
 * of vitest (vitest.config.ts), so that the versions of a file run beside one another, and `--project privacyidea-3.12` selects one.
 * A new version is one line of RELEASES.
 */
export const RELEASES_BY_FILE: Readonly<Record<string, readonly ReleaseName[]>> = {
  'test/e2e/api-mode/api-mode.test.ts': RELEASE_NAMES,
  'test/e2e/api-outage/api-outage.test.ts': RELEASE_NAMES,
  'test/e2e/commands/rights.test.ts': ['3.11', '3.14'],
  'test/e2e/events-mode/privacyidea.test.ts': RELEASE_NAMES,
  'test/e2e/losses/first-contact.test.ts': ['3.12', '3.14'],
  'test/e2e/losses/losses.test.ts': ['3.11', '3.14'],
  'test/e2e/privacyidea/api-life.test.ts': RELEASE_NAMES,
  'test/e2e/recipes/privacyidea-recipes.test.ts': RELEASE_NAMES,
  'test/privacyidea/real.test.ts': RELEASE_NAMES,
}
