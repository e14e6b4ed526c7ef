import { availableParallelism, totalmem } from 'node:os'
import { defineConfig } from 'vitest/config'
import { workerCount } from './test/worker-count.ts'

/** Where a report is to be left for a program to read, besides the one for people. */
const report = process.env['LOCKSTEP_TEST_REPORT'] ?? ''

/** A container may have less than its machine; 0 where nothing limits it. */
const limitBytes = process.constrainedMemory()
const memoryBytes = limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem()

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
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
