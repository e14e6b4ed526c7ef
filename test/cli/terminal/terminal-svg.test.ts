import { expect, test } from 'vitest'
import { terminalSvg } from '../../../scripts/terminal-svg.ts'

test('a picture of a terminal has each word in its column, with its colour, and nothing of it is markup', () => {
  const svg = terminalSvg(
    ['$ x', '\u001b[1mLOGIN\u001b[22m  李 <b>', '\u001b[33mBREAKER', 'for room\u001b[39m ok'],
    80,
    'a & b',
  )
  const texts = [...svg.matchAll(/<text x="([\d.]+)" y="(\d+)"([^>]*)>([^<]*)</g)].map(([, x, y, look = '', text]) => {
    return [x, y, look.includes('class="b"') ? 'bold' : '', look.includes('#f2c55c') ? 'yellow' : '', text]
  })
  expect(texts).toEqual([
    ['16', '30', '', '', '$'],
    ['32.8', '30', '', '', 'x'],
    ['16', '48', 'bold', '', 'LOGIN'],
    ['74.8', '48', '', '', '李'],
    ['100', '48', '', '', '&lt;b&gt;'],
    ['16', '66', '', 'yellow', 'BREAKER'],
    ['16', '84', '', 'yellow', 'for'],
    ['49.6', '84', '', 'yellow', 'room'],
    ['91.6', '84', '', '', 'ok'],
  ])
  expect(svg).toContain('<title>a &amp; b</title>')
})
