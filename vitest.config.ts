import { availableParallelism, totalmem } from 'node:os'
import { defineConfig } from 'vitest/config'
import type { ReleaseName } from './test/servers/privacyidea/privacyidea.ts'
import { RELEASE_NAMES, RELEASES_BY_FILE } from './test/releases.ts'
import { workerCount } from './test/worker-count.ts'

/** Where a report is to be left for a program to read, besides the one for people. */
const report = process.env['LOCKSTEP_TEST_REPORT'] ?? ''

function filesOf(release: ReleaseName): string[] {
  return Object.entries(RELEASES_BY_FILE).flatMap(([file, releases]) => (releases.includes(release) ? [file] : []))
}

/** A container may have less than its machine; 0 where nothing limits it. */
const limitBytes = process.constrainedMemory()
const memoryBytes = limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem()

export default defineConfig({
  test: {
    // They start in the order of their names: those with a real privacyIDEA take longest, and are not the last.
    projects: [
      {
        extends: true,
        test: { name: 'run-once', include: ['test/**/*.test.ts'], exclude: Object.keys(RELEASES_BY_FILE) },
      },
      ...RELEASE_NAMES.map((release) => ({
        extends: true as const,
        test: { name: `privacyidea-${release}`, include: filesOf(release), provide: { release } },
      })),
    ],
    globalSetup: ['test/build-once.ts'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // One for each processor, since real servers run beside the tests, as far as the memory goes (3 GiB for each), and four
    // at most. `npx vitest run --maxWorkers 1` overrides it.
    maxWorkers: workerCount(availableParallelism(), memoryBytes),
    coverage: {
      include: ['src/**/*.ts'],
      reporter: ['text', 'html', 'json-summary'],
      reportsDirectory: 'coverage',
      // A test that fails under load does not take the table away.
      reportOnFailure: true,
    },
    reporters: report === '' ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
})
