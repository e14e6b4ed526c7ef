import { expect } from 'vitest'
import { cellWidth } from '../../../src/cli/terminal/cells.ts'
import { runOnTerminal } from '../../servers/debian/terminal.ts'
import { AWKWARD, awkwardLdif, HELD_BY_MANY, lockAwkwardPeople, LONG_LOGIN, MANY_SERIALS } from './awkward-people.ts'
import { lockstep, lockstepTest as test } from '../../support/fixture.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** What the commands print on a terminal of 80 columns, about people with long and wide names. */

const LOCKS_MAX = AWKWARD.length
const KEPT_OPEN = ['u1', 'u2', 'u3']
const LIMIT_REASON = `at most ${LOCKS_MAX} locks within 1 h`

test.override('slapdOptions', { users: 5, extraLdif: awkwardLdif() })
test.override('lockstepOptions', { guards: `{ breaker: { maxLocks: ${LOCKS_MAX}, per: 1h } }` })
test.beforeAll(async () => {
  await lockAwkwardPeople(lockstep)
  for (const login of [...KEPT_OPEN, 'nobody-there']) {
    lockstep.spool({ kind: 'lock', args: asNobody(null, login), takenAtMs: Date.now() })
  }
  await lockstep.settled()
})

async function shown(...args: readonly string[]): Promise<readonly string[]> {
  const ran = await runOnTerminal(programOf(args))
  expect([0, 75], ran.lines.join('\n')).toContain(ran.code)
  return ran.lines
}

function programOf(args: readonly string[]): string[] {
  return [new URL('../../../bin/lockstep', import.meta.url).pathname, '--config', lockstep.configFile, ...args]
}

/** As it is read: without line breaks and indents. */
function read(lines: readonly string[]): string {
  return lines.join(' ').replace(/\s+/g, ' ')
}

/** Those of a text that stay when every blank is taken out: what is wrapped within a word is there in full. */
function bare(text: string): string {
  return text.replace(/\s/g, '')
}

test.each([
  'status',
  'accounts',
  'accounts --locked',
  'accounts --utc',
  'review',
  'events',
  'journal',
  'undo --since 1h',
  'directory show',
  'recipes',
  'recipes show lock-mail-owner',
  'retire',
  'drain',
  'doctor',
])('no line of `%s` is wider than 80 cells, and none is cut', async (command) => {
  const lines = await shown(...command.split(' '))
  // A command that is to be copied stays one line: the terminal breaks it, and copying does not.
  const wide = lines.filter((line) => cellWidth(line) > 80)
  expect(wide.filter((line) => command !== 'doctor' || !/^ {8}fix: [a-z]+ /.test(line))).toEqual([])
  expect(lines.filter((line) => line.endsWith('…'))).toEqual([])
})

test('logins, serials, reasons and DNs are there in full', async () => {
  const pages = {
    accounts: await shown('accounts'),
    status: await shown('status'),
    events: await shown('events', '--limit', '99'),
  }
  for (const [name, lines] of Object.entries(pages)) {
    for (const text of [...AWKWARD, ...MANY_SERIALS]) expect(bare(lines.join('')), name).toContain(bare(text))
  }
  expect(read(pages.accounts)).toContain('token OATH00000000 reached its max fail count')
  expect(read(pages.status)).toContain('token TOTP0000ABCDEF reached its max fail count, and 8 more like it')
  expect(bare(pages.accounts.join(''))).toContain(`uid=${LONG_LOGIN},ou=FakultätfürAngewandteInformatikund`)
  expect(read(await shown('review'))).toContain(`${LIMIT_REASON}; waits for lockstep review, or for room`)
})

test('journal shows people times, and no count of microseconds', async () => {
  const lines = await shown('journal', '--limit', '200')
  expect(lines.filter((line) => /AtUs|\b1\d{15}\b/.test(line))).toEqual([])
  expect(lines.join('\n')).toMatch(/^ +takenAt +(?:\d+ \w{3} )?\d\d:\d\d:\d\d$/m)
  expect((await lockstep.cli('journal', '--limit', '200')).stdout).toMatch(/"takenAt":"\d{4}-\d\d-\d\dT/)
})

test('the ldapsearch in an error is one line that works as it stands', async () => {
  const words = ['lock', 'nobody-of-that-name', '--reason', 'a trial of the message']
  const ran = await runOnTerminal(programOf(words))
  expect(ran.code).toBe(67)
  const command =
    ran.lines.find((line) => line.trimStart().startsWith('ldapsearch')) ?? expect.fail(ran.lines.join('\n'))
  expect(command).toMatch(/^ +ldapsearch -x -W -LLL -H \S+ -D \S+ -b \S+ '\(uid=nobody-of-that-name\)'$/)
  expect(ran.lines.join(' ')).toContain('bindPasswordFile')
})

test('accounts and review look like this', async () => {
  const times = (lines: readonly string[]): string[] =>
    lines.map((line) =>
      line.replace(/\b\d\d:\d\d\b/g, 'hh:mm').replace(/\baccount\.[0-9a-f]{16}\b/g, 'account.0123456789abcdef'),
    )
  const accounts = times(await shown('accounts', '--locked'))
  const from = accounts.indexOf('alice     by us   hh:mm  in-step   1 of 1')
  expect([accounts[0], ...accounts.slice(from, from + 6)]).toEqual([
    'LOGIN     LOCKED  SINCE  STANDING  VERIFIED',
    'alice     by us   hh:mm  in-step   1 of 1',
    '  account  uid=alice,ou=Fakultät für Angewandte Informatik und',
    '           Wirtschaftswissenschaften,ou=people,dc=example,dc=org',
    '  holds    OATH00000000',
    '  file     unlock/OATH00000000.ldif',
    '  reason   token OATH00000000 reached its max fail count',
  ])
  const review = times(await shown('review'))
  const at = review.findIndex((line) => line.startsWith('u3 '))
  expect([review[0], ...review.slice(at, at + 3), ...review.slice(-2)]).toEqual([
    'LOGIN  KIND  SINCE  STATE    HOLDS',
    'u3     lock  hh:mm  waiting  account.0123456789abcdef',
    '  account  uid=u3,ou=people,dc=example,dc=org',
    `  why      ${LIMIT_REASON}; waits for lockstep review, or for room`,
    'Next: lockstep review show LOGIN, then approve or reject LOGIN (or --all)',
    '  --reason TEXT',
  ])
})

test('what the breaker keeps open is in the review and not among the held, in the text and in the JSON', async () => {
  const lines = await shown('status')
  const held = lines.slice(
    lines.findIndex((line) => line.startsWith('HELD')),
    lines.findIndex((line) => line.startsWith('WAITS')),
  )
  const first = held.map((line) => line.split(' ')[0])
  for (const login of KEPT_OPEN) expect(first).not.toContain(login)
  expect(first).toContain('alice')
  expect(read(lines)).toContain('3 locks and 0 losses waiting')
  const { locked, lockedCount } = await lockstep.json<{ locked: { login: string }[]; lockedCount: number }>('status')
  expect(locked.map(({ login }) => login).toSorted()).toEqual([...AWKWARD].toSorted())
  expect(lockedCount).toBe(AWKWARD.length)
})

test('what the breaker keeps open is not among the held while changes are paused either', async () => {
  expect((await lockstep.cli('pause', '--reason', 'a look at it')).code).toBe(0)
  await lockstep.cli('retry')
  await lockstep.settled()
  const { locked } = await lockstep.json<{ locked: { login: string }[] }>('status')
  expect(locked.map(({ login }) => login).toSorted()).toEqual([...AWKWARD].toSorted())
  expect((await lockstep.cli('resume')).code).toBe(0)
  await lockstep.settled()
})

test('accounts names for each the files that `ls unlock` shows, and none that is not there', async () => {
  const { accounts } = await lockstep.json<{ accounts: { login: string; files: string[] }[] }>('accounts', '--locked')
  const filesOf = new Map(accounts.map(({ login, files }) => [login, files]))
  expect(filesOf.get(HELD_BY_MANY)?.toSorted()).toEqual(MANY_SERIALS.map((serial) => `unlock/${serial}.ldif`))
  for (const login of KEPT_OPEN) expect(filesOf.get(login), login).toEqual([])
  expect([...filesOf.values()].flat().toSorted()).toEqual(lockstep.ldif('unlock').map((name) => `unlock/${name}`))
})

test('a pipe has everything on one line, with times in UTC and in full', async () => {
  const { stdout } = await lockstep.cli('accounts', '--locked')
  const lines = stdout.trimEnd().split('\n')
  expect(lines).toHaveLength(1 + AWKWARD.length + KEPT_OPEN.length)
  expect(lines.find((line) => line.startsWith(HELD_BY_MANY))).toMatch(
    / \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z +in-step .* unlock\/TOTP0000ABCDEF\.ldif unlock\/TOTP0001ABCDEF\.ldif /,
  )
})

test('a time that was printed is one that --since takes, and means the same', async () => {
  const lines = await shown('undo', '--since', '1h')
  const times = lines.flatMap((line) => /^ *((?:\d+ \w{3} )?\d\d:\d\d:\d\d) {2}/.exec(line)?.[1] ?? [])
  const [newest = '', oldest = ''] = [times[0], times.at(-1)]
  const steps = async (since: string, until: string): Promise<number> => {
    const ran = await lockstep.cliWith({ TZ: 'Europe/Berlin' }, 'undo', '--since', since, '--until', until, '--json')
    return ran.json<{ steps: unknown[] }>().steps.length
  }
  expect(times.length).toBeGreaterThan(10)
  expect(await steps(oldest, newest)).toBe(times.length)
  expect(await steps(newest, newest)).toBe(times.filter((time) => time === newest).length)
  const utc = await shown('undo', '--since', '1h', '--utc')
  const [first = ''] = utc.flatMap((line) => /^ *(\d{4}-\S+Z) /.exec(line)?.[1] ?? [])
  expect(await steps(first, first)).toBeGreaterThan(0)
})

test('an hour that the clock shows twice, or never, is refused with both instants', async () => {
  const refused = async (since: string): Promise<readonly string[]> => {
    const ran = await runOnTerminal(programOf(['undo', '--since', since]))
    expect(ran.code).toBe(64)
    expect(ran.lines.filter((line) => cellWidth(line) > 80)).toEqual([])
    return ran.lines
  }
  const twice = read(await refused('2025-10-26 02:30'))
  expect(twice).toContain('the clock shows that time twice in Europe/Berlin')
  expect(twice).toContain('Name the one that is meant: 2025-10-26T00:30:00Z or 2025-10-26T01:30:00Z')
  const never = read(await refused('30 Mar 2025 02:30'))
  expect(never).toContain('the clock never shows that time in Europe/Berlin')
  expect(never).toContain('Name the one that is meant: 2025-03-30T00:30:00Z or 2025-03-30T01:30:00Z')
  expect(read(await refused('lunch'))).toContain('expected a time or an age')
})

test('a terminal of 40 columns has it all as well', async () => {
  const { lines } = await runOnTerminal(programOf(['accounts']), { columns: 40 })
  expect(lines.filter((line) => cellWidth(line) > 40)).toEqual([])
  for (const text of [...AWKWARD, ...MANY_SERIALS]) expect(bare(lines.join(''))).toContain(bare(text))
})
