import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { RELEASES_BY_FILE } from './releases.ts'

test.each(Object.keys(RELEASES_BY_FILE))('%s is there and asks for the version that it runs for', (file) => {
  const path = new URL(`../${file}`, import.meta.url)
  // vitest passes over a file that an `include` names and that is not there.
  expect(existsSync(path)).toBe(true)
  expect(readFileSync(path, 'utf8')).toMatch(/releaseOfRun\(|onReleaseOfRun\(/)
})
