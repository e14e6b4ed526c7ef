import { defineConfig } from 'vitest/config'

/** Where a report is to be left for a program to read, besides the one for people. */
const report = process.env['LOCKSTEP_TEST_REPORT'] ?? ''

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/build-once.ts'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Two cores: real servers run beside the tests.
    maxWorkers: 2,
    reporters: report === '' ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
})
