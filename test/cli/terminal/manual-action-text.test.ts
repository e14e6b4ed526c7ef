import { afterAll, expect, test } from 'vitest'
import { processIo } from '../../../src/cli/terminal/io.ts'
import { showTimesFor } from '../../../src/cli/terminal/moment.ts'
import { lockLines } from '../../../src/cli/texts/manual-action-text.ts'
import type { ManualActionResult } from '../../../src/operations/accounts/manual-action.ts'

afterAll(() => showTimesFor(processIo(), { utc: true }))

test('on a terminal two ends within a minute are told apart by their seconds, and within a second nothing has changed', () => {
  showTimesFor({ stdout: { ...process.stdout, isTTY: true } as never }, {})
  const minuteMs = Math.ceil(Date.now() / 60_000) * 60_000 + 3_600_000
  const hold = (name: string, untilMs: number) => {
    return { kind: 'manual', name, serial: null, actor: 'a', sinceMs: 0, untilMs, reason: '' }
  }
  const lastLine = (apartMs: number): string | undefined => {
    const [first, second] = [hold('a', minuteMs), hold('b', minuteMs + apartMs)]
    return lockLines({
      before: { holds: [first] },
      account: { holds: [first, second] },
    } as unknown as ManualActionResult).at(-1)
  }
  expect(lastLine(20_000)).toMatch(/^changed: the account is held until .*:20; before: until .*:00$/)
  expect(lastLine(200)).toMatch(/^nothing else has changed: /)
})
