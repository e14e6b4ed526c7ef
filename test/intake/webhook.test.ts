import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TOKEN_EVENT_KINDS, type TokenEventKind } from '../../src/core/events/event.ts'
import { parseLogin, parseRealm, parseSerial } from '../../src/core/names.ts'
import type { Origin } from '../../src/intake/event-fields.ts'
import { readWebhook } from '../../src/intake/webhook.ts'
import { readCaptured } from './captured.ts'

const origin: Origin = { id: 'hook-1', source: 'webhook', takenAtUs: 1_700_000_000_000_001 }
const MIME = 'application/x-www-form-urlencoded'

function read(body: string, contentType = MIME, kind: TokenEventKind = 'lock'): string[] {
  const taken = readWebhook(kind, contentType, Buffer.from(body), origin)
  return [
    ...taken.events.map((event) =>
      [event.serial ?? '-', event.login ?? '-', event.realm ?? '-', event.actor || '-'].join(' '),
    ),
    ...taken.refused.map((each) => `refused: ${each.reason}`),
  ]
}

describe('the bodies that privacyIDEA sends', () => {
  test.each([
    ['3.11 to 3.13, a form', 'urlencoded', 'user=carol&realm=r1&serial=L1', 'L1 carol r1 -'],
    ['3.10, a form', 'urlendcode', 'user=carol&realm=r1&serial=L1', 'L1 carol r1 -'],
    ['3.10 to 3.13, no serial', MIME, 'user=carol&realm=r1&serial=None', '- carol r1 -'],
    ['nobody', MIME, 'user=&realm=&serial=L1', 'L1 - - -'],
    [
      '3.10 to 3.13, JSON of which only the first key is left, as a form',
      'json',
      'user=carol+x%40y',
      '- carol x@y - -',
    ],
    ['3.14, JSON', 'application/json', '{"user":"carol","realm":"R1","serial":"L1"}', 'L1 carol r1 -'],
    ['JSON under no content type', '', ' {"user": "carol", "serial": null, "more": {"a": 1}}', '- carol - -'],
    ['JSON under the wrong content type', MIME, '{"username":"carol","token_serial":["L1"]}', 'L1 carol - -'],
    ['values that are not escaped', MIME, 'user=carol+test@x y&realm=r1&serial=None', '- carol+test@x y r1 -'],
    ['values that are escaped', MIME, 'user=carol%2Btest%40x+y&realm=r1', '- carol+test@x y r1 -'],
    ['a percent sign that escapes nothing', MIME, 'user=100%&realm=r1', '- 100% r1 -'],
    ['other fields', MIME, 'time=03:24&user=carol&admin=admin@', '- carol - admin@'],
    ['the same field twice, alike', MIME, 'serial=A&serial=A', 'A - - -'],
  ])('%s', (_name, contentType, body, event) => {
    expect(read(body, contentType)).toEqual([event])
  })

  test.each([
    ['{"serial":"A","serial":"B"}', 'serial: given twice, with different values'],
    ['{"user":"carol","realm":"r1","us\\u0065r":"dave"}', 'user: given twice, with different values'],
    ['{"serial":"A","token_serial":"B"}', 'serial: given twice, with different values'],
    [`{"serial":${'['.repeat(9)}${']'.repeat(9)}}`, 'body: it is nested deeper than 8 levels'],
    [`{"serial":"A","more":[${'0,'.repeat(10_000)}0]}`, 'body: it holds more than 10000 values'],
  ])('of %s nobody knows what is meant', (body, why) => {
    expect(read(body)).toEqual([`refused: ${why}`])
  })

  test('3.14 names all tokens of the owner, which says nothing of any: a lock is then one of the account', () => {
    expect(read('user=dave&realm=r1&serial=M1,M2')).toEqual(['- dave r1 -'])
    expect(read('user=dave&realm=r1&serial=M1')).toEqual(['M1 dave r1 -'])
    expect(read('user=dave&realm=r1&serial=M1,M2,../x')).toEqual([
      '- dave r1 -',
      expect.stringMatching(/^refused: serial/),
    ])
  })

  test('other events are one for each token that is named', () => {
    const body = 'user=dave&realm=r1&serial=M1,M2'
    expect(read(body, MIME, 'unregister')).toEqual(['M1 dave r1 -', 'M2 dave r1 -'])
  })

  test('a registration says whether it names one token alone: only then is it known which one was enrolled', () => {
    const sole = (serial: string, kind: TokenEventKind = 'register') =>
      readWebhook(kind, MIME, Buffer.from(`user=dave&realm=r1&serial=${serial}`), origin).events.map(
        ({ isSoleSerial }) => isSoleSerial === true,
      )
    expect(sole('M1')).toEqual([true])
    expect(sole('M1,M2')).toEqual([false, false])
    expect(sole('M1,../x')).toEqual([false])
    expect(sole('M1', 'lock')).toEqual([false])
  })

  test('of a local administrator no owner is made: an owner always has a realm', () => {
    expect(read('user=admin&realm=&serial=U1')).toEqual(['U1 - - admin@'])
    expect(read('user=None&realm=None&serial=U1')).toEqual(['U1 - - -'])
  })

  const captured = readCaptured().filter((each) => each.body !== undefined)
  test('the capture holds the bodies of all calls', () => {
    expect(captured).toHaveLength(75)
  })
  test.each(TOKEN_EVENT_KINDS)(
    'a captured body whose only key we do not know is refused as %s, with the key named',
    (kind) => {
      for (const each of captured) {
        const taken = readWebhook(kind, 'application/json', Buffer.from(each.body ?? ''), origin)
        expect(taken.events).toEqual([])
        expect(taken.refused[0]?.reason).toBe('body: none of the fields user, realm and serial is there, but "liu"')
        const renamed = (each.body ?? '').replace('"liu"', '"user"')
        const [event] = readWebhook(kind, 'application/json', Buffer.from(renamed), origin).events
        const user = /: "(.*)"/.exec(renamed)?.[1] ?? ''
        expect(event).toMatchObject({ kind, serial: null, login: user === '' ? null : user })
      }
    },
  )
})

describe('what is refused', () => {
  test.each([
    ['', 'body: empty; expected user=…&realm=…&serial=… or a JSON object'],
    ['hello', 'body: neither a form nor JSON: "hello"'],
    ['{"user":', 'body: starts like JSON, but is none'],
    ['["user"]', 'body: a JSON object is expected'],
    ['{"user":{"a":1}}', 'user: a text is expected'],
    ['{"serial":5}', 'serial: a text is expected'],
    ['a=b', 'body: none of the fields user, realm and serial is there, but "a"'],
    ['user={logged_in_user}&realm=r1', 'user: the placeholder {logged_in_user} was not replaced; switch "replace" on'],
    ['serial=..%2Fetc', 'serial: no serial number (1 to 64 of A-Z a-z 0-9 _ -): "../etc"'],
    ['user=x&serial=VICTIM&realm=r1&serial=None', 'serial: given twice, with different values'],
    ['user=a%0Ab', 'user: control characters, in "a\\u000ab"'],
  ])('%j', (body, reason) => {
    expect(read(body)).toEqual([`refused: ${reason}`])
  })

  test('a body that is no UTF-8', () => {
    const taken = readWebhook('lock', MIME, Buffer.from([0x75, 0x3d, 0xff]), origin)
    expect(taken.refused[0]?.reason).toBe('body: not valid UTF-8')
  })
})

test('whatever the body, only checked names get through, and reasons are short', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.constantFrom('none', '../x', '*)(uid=*', 'a\ndn: x', 'x\0y', '{user}'),
  )
  const key = fc.constantFrom('user', 'realm', 'serial', 'admin', '__proto__', 'constructor', 'x')
  const pairs = fc.array(fc.tuple(key, text), { maxLength: 8 })
  const form = pairs.map((all) => all.map(([name, value]) => `${name}=${value}`).join('&'))
  const escaped = pairs.map((all) =>
    new URLSearchParams(all.map(([name, value]): [string, string] => [name, value.toWellFormed()])).toString(),
  )
  const json = fc.oneof(
    fc.json(),
    pairs.map((all) => JSON.stringify(Object.fromEntries(all))),
  )
  const bytes = fc.oneof(form, escaped, json, text).map((body) => Buffer.from(body))
  const any = fc.oneof(
    bytes,
    fc.uint8Array({ maxLength: 300 }).map((body) => Buffer.from(body)),
  )
  fc.assert(
    fc.property(
      fc.constantFrom(...TOKEN_EVENT_KINDS),
      fc.constantFrom('', 'json', MIME),
      any,
      (kind, contentType, body) => {
        const taken = readWebhook(kind, contentType, body, origin)
        expect(taken.events.length + taken.refused.length).toBeGreaterThan(0)
        for (const event of taken.events) {
          if (event.serial !== null) expect(parseSerial(event.serial)).toBe(event.serial)
          if (event.login !== null) expect(parseLogin(event.login)).toBe(event.login)
          if (event.realm !== null) expect(parseRealm(event.realm)).toBe(event.realm)
        }
        for (const each of taken.refused)
          expect(each.reason).toMatch(/^(body|serial|user|realm): [\u0020-\u007e…]{1,200}$/)
      },
    ),
    { numRuns: 5000 },
  )
})
