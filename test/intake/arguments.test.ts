import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TOKEN_EVENT_KINDS } from '../../src/core/events/event.ts'
import { hasControlCharacter, parseLogin, parseRealm, parseSerial } from '../../src/core/names.ts'
import { readArguments, readSpoolFile } from '../../src/intake/arguments.ts'
import { excerpt, type Origin, type Received } from '../../src/intake/event-fields.ts'
import { readCaptured } from './captured.ts'

const origin: Origin = { id: '0000042-10-x', source: 'shim', takenAtUs: 1_700_000_000_000_001 }

/** `serial user realm actor` of each event; `-` for none. */
function shown(taken: Received): string[] {
  return taken.events.map((event) =>
    [event.serial ?? '-', event.login ?? '-', event.realm ?? '-', event.actor === '' ? '-' : event.actor].join(' '),
  )
}

/** What the arguments of each call of the capture mean, before and after the call. */
const EXPECTED: Readonly<Record<string, { pre: string[]; post: string[] }>> = {
  'init H1 alice pin=1234': both('H1 alice r1 admin@'),
  'init (auto serial) bob': { pre: ['- bob r1 admin@'], post: ['OATH000180A8 bob r1 admin@'] },
  'init unassigned U1': both('U1 - - admin@'),
  'assign U1 alice': both('U1 alice r1 admin@'),
  'disable U1': both('U1 alice r1 admin@'),
  'enable U1 path': both('U1 alice r1 admin@'),
  'set max_failcount U1': both('U1 alice r1 admin@'),
  'realm U1': both('U1 alice r1 admin@'),
  'reset serial U1': both('U1 alice r1 admin@'),
  'reset user alice (2 tokens)': { pre: ['H1 alice r1 admin@', 'U1 alice r1 admin@'], post: [] },
  'reset user bob (1 token)': both('OATH000180A8 bob r1 admin@'),
  'disable user alice (2 tokens)': { pre: ['H1 alice r1 admin@', 'U1 alice r1 admin@'], post: [] },
  'enable user alice (2 tokens)': { pre: ['H1 alice r1 admin@', 'U1 alice r1 admin@'], post: [] },
  'resync bad U1': both('U1 alice r1 admin@'),
  'unassign U1': both('U1 alice r1 admin@'),
  'assign again U1': both('U1 alice r1 admin@'),
  'copyuser H1->C1': both('- - - admin@'),
  'lost U1': both('U1 alice r1 admin@'),
  'revoke U1': both('U1 alice r1 admin@'),
  'unassign list U1,C1': both('C1 - - admin@', 'U1 - - admin@'),
  'delete list U1,C1': both('C1 - - admin@', 'U1 - - admin@'),
  'delete lost': both('lostU1 alice r1 admin@'),
  'carol single-token wrong OTP #1': { pre: ['- carol r1 -'], post: ['L1 carol r1 -'] },
  'carol single-token wrong OTP #2': { pre: ['- carol r1 -'], post: ['L1 carol r1 -'] },
  'carol single-token wrong OTP #3': { pre: ['- carol r1 -'], post: ['L1 carol r1 -'] },
  'carol single-token wrong OTP #4': both('- carol r1 -'),
  'locked: carol right OTP': both('- carol r1 -'),
  'locked: serial+pass': both('L1 - - -'),
  reset: both('L1 carol r1 admin@'),
  'carol ok': { pre: ['- carol r1 -'], post: ['L1 carol r1 -'] },
  'carol single-token wrong PIN #1': both('- carol r1 -'),
  'carol single-token wrong PIN #2': both('- carol r1 -'),
  'carol single-token wrong PIN #3': both('- carol r1 -'),
  'serial+pass wrong otp': both('L1 - - -'),
  'serial+pass wrong pin': both('L1 - - -'),
  'dave wrong OTP M1 pin': { pre: ['- dave r1 -'], post: ['M1 dave r1 -'] },
  'dave wrong PIN': both('- dave r1 -'),
  'dave M1 locked, M1 otp': both('- dave r1 -'),
  'dave M2 ok': { pre: ['- dave r1 -'], post: ['M2 dave r1 -'] },
}

function both(...events: string[]): { pre: string[]; post: string[] } {
  return { pre: events, post: events }
}

const scripts = readCaptured().filter((each) => each.args !== undefined)

test('the capture and the table of what it means name the same calls', () => {
  expect(new Set(scripts.map((each) => each.call))).toEqual(new Set(Object.keys(EXPECTED)))
  expect(scripts).toHaveLength(75)
})

describe.each(TOKEN_EVENT_KINDS)('what privacyIDEA 3.13.3 passes, as %s', (kind) => {
  test.each(scripts.map((each) => [`${each.call} ${each.position}`, each] as const))('%s', (_name, each) => {
    const taken = readArguments(kind, each.args ?? [], origin)
    expect(shown(taken)).toEqual(EXPECTED[each.call]?.[each.position])
    expect(taken.refused).toEqual([])
    expect(taken.events.every((event) => event.kind === kind && event.takenAtUs === origin.takenAtUs)).toBe(true)
  })
})

describe('the forms of a missing value', () => {
  const nobody = ['- - - -']
  test.each([
    ['no arguments', []],
    ['none', ['--serial', 'none', '--user', 'none', '--realm', 'none', '--logged_in_user', 'none@none']],
    ['None', ['--serial', 'None', '--user', 'None', '--realm', 'None', '--logged_in_user', 'None@None']],
    ['empty', ['--serial', '', '--user', '', '--realm', '', '--logged_in_user', '']],
    ['--option=', ['--serial=', '--user=none', '--realm=None', '--logged_in_user=@']],
    ['an option at the end without its value', ['--serial']],
  ])('%s', (_name, args) => {
    expect(shown(readArguments('lock', args, origin))).toEqual(nobody)
  })
})

describe('lists of serials', () => {
  test.each([
    ['A,B', ['A', 'B']],
    ['LD1, LD2', ['LD1', 'LD2']],
    ['A,B,A, B ,', ['A', 'B']],
    ['A,none,,None', ['A']],
    [' A ', ['A']],
    [',', ['-']],
  ])('%j becomes one event each', (list, serials) => {
    const taken = readArguments('unregister', ['--serial', list], origin)
    expect(taken.events.map((event) => event.serial ?? '-')).toEqual(serials)
    const ids = serials.length === 1 ? [origin.id] : serials.map((_, at) => `${origin.id}#${at + 1}`)
    expect(taken.events.map((event) => event.id)).toEqual(ids)
  })

  test('of a list with bad members the good ones are taken, and the bad ones are on record', () => {
    const taken = readArguments('unregister', ['--serial', 'A,../etc,B,x y'], origin)
    expect(taken.events.map((event) => event.serial)).toEqual(['A', 'B'])
    expect(taken.refused).toHaveLength(1)
    expect(taken.refused[0]?.reason).toBe(
      'serial: 2 that are no serial numbers, the first (1 to 64 of A-Z a-z 0-9 _ -): "../etc"',
    )
    expect(taken.refused[0]?.id).toBe(`${origin.id}#refused`)
  })

  test('of a list that is too long the first 1,000 are taken, and the rest is on record', () => {
    const list = Array.from({ length: 1002 }, (_, at) => `S${at}`).join(',')
    const taken = readArguments('unregister', ['--serial', list], origin)
    expect(taken.events).toHaveLength(1000)
    expect(taken.refused[0]?.reason).toBe('serial: 2 more than the 1000 that one event may name')
  })
})

describe('what is refused names its field', () => {
  test.each<[string, (string | null)[], RegExp]>([
    [
      'a serial that is a path',
      ['--serial', '../../etc/passwd'],
      /^serial: no serial number .*: "..\/..\/etc\/passwd"$/,
    ],
    ['a user with a line feed', ['--user', 'a\ndn: cn=x'], /^user: control characters, in "a\\u000adn: cn=x"$/],
    [
      'a user that is too long',
      ['--user', 'x'.repeat(256)],
      /^user: 256 characters, at most 255 are allowed, in "x{37}"…$/,
    ],
    ['a realm with an escape', ['--realm', '\u001b[31m'], /^realm: control characters, in "\\u001b\[31m"$/],
    ['a user that is no UTF-8', ['--user', null], /^user: not valid UTF-8$/],
    ['two different users', ['--user', 'a', '--user', 'b'], /^user: given twice, with different values$/],
  ])('%s', (_name, args, reason) => {
    const taken = readArguments('lock', args, origin)
    expect(taken.events).toEqual([])
    expect(taken.refused.map((each) => each.reason)).toEqual([expect.stringMatching(reason)])
  })

  test('a kind that is none', () => {
    expect(readArguments('shim', [], origin).refused[0]?.reason).toBe(
      'kind: register, lock, unlock or unregister expected, not "shim"',
    )
  })
})

test('a user who calls himself like an option stays a user', () => {
  for (const user of ['--serial', '--serial=VICTIM', '--realm', '--user', '-n', '--']) {
    const args = ['--serial', 'none', '--user', user, '--realm', 'R1', '--logged_in_user', 'none@none']
    expect(shown(readArguments('lock', args, origin))).toEqual([`- ${user} r1 -`])
  }
})

test('options that are not known are passed over with their values', () => {
  const args = ['--client_ip', '--serial', '--serial', 'A', '--user', 'bob', '--logged_in_role', '--user', 'stray']
  expect(shown(readArguments('lock', args, origin))).toEqual(['A bob - -'])
})

test('an actor is shown whatever it is, and never costs an event', () => {
  expect(shown(readArguments('lock', ['--logged_in_user', 'ad\nmin@', '--serial', 'A'], origin))).toEqual([
    'A - - ad\ufffdmin@',
  ])
  expect(readArguments('lock', ['--logged_in_user', null, '--serial', 'A'], origin).events[0]?.actor).toBe('\ufffd')
  expect(readArguments('lock', ['--logged_in_user', 'x'.repeat(999)], origin).events[0]?.actor).toHaveLength(255)
})

describe('files', () => {
  const bytes = (...fields: string[]): Buffer => Buffer.from(fields.map((field) => `${field}\0`).join(''))
  test('a file that was cut short is refused, and no event is made of its beginning', () => {
    const whole = bytes('lock', '--serial', 'ABC', '--user', 'carol')
    expect(shown(readSpoolFile(whole, 4, origin))).toEqual(['ABC carol - -'])
    for (let length = 0; length < whole.length; length++) {
      const taken = readSpoolFile(whole.subarray(0, length), 4, origin)
      expect(taken.events, `${length} bytes`).toEqual([])
      expect(taken.refused[0]?.reason).toMatch(/^file: cut short/)
    }
  })
  test('too many arguments are refused', () => {
    const taken = readSpoolFile(bytes('lock', ...Array.from({ length: 300 }, () => 'x')), null, origin)
    expect(taken.refused[0]?.reason).toBe('file: more than 255 arguments')
  })
  test('bytes that are no UTF-8 spoil the field that holds them', () => {
    const bad = Buffer.concat([bytes('lock', '--serial', 'A', '--user'), Buffer.from([0x61, 0xff, 0])])
    expect(readSpoolFile(bad, 4, origin).refused[0]?.reason).toBe('user: not valid UTF-8')
    const harmless = Buffer.concat([bytes('lock', '--serial', 'A', '--logged_in_role'), Buffer.from([0xff, 0])])
    expect(shown(readSpoolFile(harmless, 4, origin))).toEqual(['A - - -'])
  })
})

describe('whatever comes in', () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.constantFrom(
      'none',
      'None',
      '',
      '--serial',
      '--user=x',
      'A,B',
      '../x',
      '*)(uid=*',
      'cn=a,dc=b',
      'a\ndn: x',
      'x\0y',
      '\u2028',
    ),
  )
  const word = fc.oneof(nasty, fc.constantFrom('--serial', '--user', '--realm', '--logged_in_user', '--logged_in_role'))

  test('nothing but checked names gets through, and reasons are printable and short', () => {
    fc.assert(
      fc.property(fc.constantFrom(...TOKEN_EVENT_KINDS, 'x'), fc.array(word, { maxLength: 12 }), (kind, args) => {
        expectSound(readArguments(kind, args, origin))
      }),
      { numRuns: 3000 },
    )
  })

  test('bytes of any kind make sound events or a refusal', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 12 }), fc.boolean(), (fields, isEnded) => {
        const content = Buffer.concat(fields.flatMap((field) => [Buffer.from(field), Buffer.from([0])]))
        expectSound(readSpoolFile(isEnded ? content : content.subarray(0, -1), null, origin))
      }),
      { numRuns: 3000 },
    )
  })

  test('good names come out as they went in', () => {
    const serial = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).filter((text) => !/^[nN]one$/.test(text))
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
      .filter((text) => parseLogin(text) !== null && !hasControlCharacter(text) && !/^[nN]one$/.test(text))
    fc.assert(
      fc.property(serial, name, name, (s, user, realm) => {
        const content = Buffer.from(['lock', '--serial', s, '--user', user, '--realm', realm, ''].join('\0'))
        const [event] = readSpoolFile(content, 6, origin).events
        expect(event).toMatchObject({ serial: s, login: user, realm: realm.toLowerCase(), id: origin.id })
      }),
    )
  })

  test('an excerpt is ASCII, in quotes, and at most 40 characters long', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        expect(excerpt(text)).toMatch(/^"[\u0020-\u007e]{0,37}"…?$/)
      }),
    )
  })
})

function expectSound(taken: Received): void {
  expect(taken.events.length + taken.refused.length).toBeGreaterThan(0)
  const ids = [...taken.events, ...taken.refused].map((each) => each.id)
  expect(new Set(ids).size).toBe(ids.length)
  for (const event of taken.events) {
    if (event.serial !== null) expect(parseSerial(event.serial)).toBe(event.serial)
    if (event.login !== null) expect(parseLogin(event.login)).toBe(event.login)
    if (event.realm !== null) expect(parseRealm(event.realm)).toBe(event.realm)
    expect(event.actor).not.toMatch(/\p{Cc}/u)
  }
  for (const each of taken.refused)
    expect(each.reason).toMatch(/^(kind|file|serial|user|realm): [\u0020-\u007e…]{1,200}$/)
}
