import { expect, test } from 'vitest'
import type { CliIo } from '../../../src/cli/terminal/io.ts'
import { paceText, resyncProgress } from '../../../src/cli/texts/resync-progress.ts'
import type { ResyncStep } from '../../../src/reconcile/source/resync-ports.ts'
import { nameOfDirectory } from '../../directory/directory-settings.ts'

const tokens = (done: number): ResyncStep => ({ phase: 'tokens', directory: null, done, inAll: 10_000 })
const accounts = (done: number): ResyncStep => ({
  phase: 'accounts',
  directory: nameOfDirectory('corp'),
  done,
  inAll: 600_000,
})

test('rate and time left are those of the phase', () => {
  expect(paceText(tokens(4_500), 5_000)).toBe('4500 of 10000 tokens, 900/s, 7 s left')
  expect(paceText(tokens(10_000), 5_000)).toBe('10000 of 10000 tokens, 2000/s, 0 s left')
  expect(paceText(tokens(0), 0)).toBe('0 of 10000 tokens')
  expect(paceText(accounts(500), 1_000)).toBe('500 of 600000 marked accounts of corp, 500/s, 20 min left')
  expect(paceText(accounts(3), 2_000)).toBe('3 of 600000 marked accounts of corp, 1.5/s, 112 h left')
})

/** What is written to stderr, at the times that are given. */
function shown(isTTY: boolean, steps: readonly (readonly [number, ResyncStep])[]): string[] {
  const written: string[] = []
  const stderr = { isTTY, columns: 100, write: (text: string) => written.push(text) }
  let nowMs = 0
  using progress = resyncProgress({ env: {}, stderr } as unknown as CliIo, () => nowMs)
  for (const [atMs, step] of steps) {
    nowMs = atMs
    progress.step(step)
  }
  return [...written]
}

const STEPS = [
  [50, tokens(100)],
  [150, tokens(300)],
  [9_000, tokens(9_000)],
  [12_000, tokens(10_000)],
  [13_000, accounts(500)],
  [23_000, accounts(5_000)],
] as const

test('a terminal shows one line that is written over, ten times a second at most', () => {
  const lines = shown(true, STEPS)
  expect(lines).toHaveLength(5)
  expect(lines[0]).toBe('\r\u001b[K300 of 10000 tokens, 2000/s, 5 s left')
})

test('elsewhere a plain line comes every ten seconds, and the next phase has its own rate', () => {
  expect(shown(false, STEPS)).toEqual([
    '10000 of 10000 tokens, 833/s, 0 s left\n',
    '5000 of 600000 marked accounts of corp, 500/s, 20 min left\n',
  ])
})
