import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/core/error.ts'
import { TOKEN_EVENT_KINDS } from '../../src/core/events/event.ts'
import { newFixture, openRaw, post, SECRET_PATH } from './fixture.ts'

const HOOK = `/hooks/privacyidea/${SECRET_PATH}/lock`
const NOT_FOUND = { error: { code: 'not-found', message: 'There is nothing here.' } }

describe('the webhook', () => {
  test.each(TOKEN_EVENT_KINDS)('%s: answers 202 after the event is durable', async (kind) => {
    await using at = await newFixture()
    const { promise, resolve } = Promise.withResolvers<void>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    at.intake.before = () => {
      begin()
      return promise
    }
    let isAnswered = false
    const answer = post(at, `/hooks/privacyidea/${SECRET_PATH}/${kind}`, 'user=carol&realm=r1&serial=None').finally(
      () => {
        isAnswered = true
      },
    )
    await begun
    expect(isAnswered).toBe(false)
    resolve()
    expect(await answer).toMatchObject({ status: 202, body: { accepted: 1 } })
    expect(at.intake.events).toMatchObject([{ kind, login: 'carol', realm: 'r1', serial: null, source: 'webhook' }])
  })

  test('takes JSON, a list of serials, and no content type at all', async () => {
    await using at = await newFixture()
    const unregister = HOOK.replace(/lock$/, 'unregister')
    const body = '{"user":"carol","realm":"r1","serial":"A, B"}'
    expect((await post(at, unregister, body, 'application/json')).body).toEqual({ accepted: 2 })
    expect((await post(at, HOOK, 'serial=C', null)).body).toEqual({ accepted: 1 })
    expect(at.intake.events.map((event) => event.serial)).toEqual(['A', 'B', 'C'])
  })

  test('events that come one after the other have times that do so too, in microseconds', async () => {
    await using at = await newFixture()
    const before = Date.now() * 1000
    for (const serial of ['A', 'B', 'C']) await post(at, HOOK, `serial=${serial}`)
    const times = at.intake.events.map((event) => event.takenAtUs)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(new Set(times).size).toBe(3)
    expect(times[0]).toBeGreaterThanOrEqual(before)
    expect(times[2]).toBeLessThan(before + 60_000_000)
    expect(new Set(at.intake.events.map((event) => event.id)).size).toBe(3)
  })

  test('a clock that is set back is followed, after a second at most of keeping the order', async () => {
    await using at = await newFixture()
    await post(at, HOOK, 'serial=A')
    at.pass(-500)
    await post(at, HOOK, 'serial=B')
    at.pass(-60_000)
    await post(at, HOOK, 'serial=C')
    const [a = 0, b = 0, c = 0] = at.intake.events.map((event) => event.takenAtUs)
    expect(b).toBeGreaterThan(a)
    expect(c).toBeLessThanOrEqual((Date.now() - 60_500) * 1000)
  })

  test('junk is answered 400 with what is wrong, and is on record', async () => {
    await using at = await newFixture()
    expect(await post(at, HOOK, 'serial=../x')).toMatchObject({
      status: 400,
      body: {
        error: { code: 'event-invalid', message: 'serial: no serial number (1 to 64 of A-Z a-z 0-9 _ -): "../x"' },
      },
    })
    expect(await post(at, HOOK, '')).toMatchObject({ status: 400 })
    expect(at.intake.events).toEqual([])
    expect(at.intake.refused.map((each) => each.reason)).toHaveLength(2)
  })

  test('of a list with a bad member the good ones are accepted, and the answer says what was refused', async () => {
    await using at = await newFixture()
    const answer = await post(at, HOOK, 'serial=A,x y')
    expect(answer).toMatchObject({
      status: 202,
      body: { accepted: 1, refused: expect.stringMatching(/^serial: no serial number/) },
    })
  })

  test('a store that cannot take is answered 503, without the cause, and is reported', async () => {
    await using at = await newFixture()
    at.intake.before = () => {
      throw new AppError('disk-full', 'the disk under /var/lib is full')
    }
    const answer = await post(at, HOOK, 'serial=A')
    expect(answer).toMatchObject({
      status: 503,
      body: { error: { code: 'disk-full', message: 'The event could not be recorded now.' } },
    })
    expect(answer.headers.get('retry-after')).toBe('5')
    expect(at.errors.map((error) => error.message)).toEqual(['the disk under /var/lib is full'])
  })

  test('the wrong method is told the right one', async () => {
    await using at = await newFixture()
    for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
      const response = await fetch(`${at.url}${HOOK}`, { method })
      expect(response.status).toBe(405)
      expect(response.headers.get('allow')).toBe('POST')
    }
    expect(at.intake.calls).toEqual([])
  })
})

describe('without the secret', () => {
  const wrong = [
    '/hooks/privacyidea/wrong/lock',
    `/hooks/privacyidea/${SECRET_PATH.slice(0, -1)}/lock`,
    `/hooks/privacyidea/${SECRET_PATH}x/lock`,
    `/hooks/privacyidea/${SECRET_PATH.toUpperCase()}/lock`,
    `/hooks/privacyidea/${SECRET_PATH}/hold`,
    `/hooks/privacyidea/${SECRET_PATH}/LOCK`,
    `/hooks/privacyidea/${SECRET_PATH}/`,
    `/hooks/privacyidea/${SECRET_PATH}`,
    '/hooks/privacyidea//lock',
    '/hooks/privacyidea/%/lock',
    `/hooks/other/${SECRET_PATH}/lock`,
    `/healthz/${SECRET_PATH}/lock`,
    '/',
    '/../etc/passwd',
    `/?secret=${SECRET_PATH}`,
  ]
  test('every wrong path and secret gets the same answer, whatever the method', async () => {
    await using at = await newFixture()
    for (const path of wrong) {
      for (const method of ['POST', 'GET', 'PUT']) {
        const response = await fetch(`${at.url}${path}`, { method, ...(method === 'GET' ? {} : { body: 'serial=A' }) })
        expect([path, response.status, await response.json()]).toEqual([path, 404, NOT_FOUND])
        const headers = [...response.headers].filter(([name]) => name !== 'date')
        expect(headers).toEqual([
          ['cache-control', 'no-store'],
          ['connection', 'close'],
          ['content-length', '66'],
          ['content-type', 'application/json; charset=utf-8'],
          ['x-content-type-options', 'nosniff'],
        ])
      }
    }
    expect(at.intake.calls).toEqual([])
    expect(at.errors).toEqual([])
  })

  test(
    'the time that the answer takes does not tell how much of the secret is right',
    { timeout: 60_000 },
    async () => {
      await using at = await newFixture({ requestsPerSecondMax: 100_000 })
      const guesses = { far: `y${'x'.repeat(27)}`, near: `${decodeURIComponent(SECRET_PATH).slice(0, -1)}!` }
      const timesUs: Record<keyof typeof guesses, number[]> = { far: [], near: [] }
      for (let round = 0; round < 400; round++) {
        for (const which of round % 2 === 0 ? (['far', 'near'] as const) : (['near', 'far'] as const)) {
          const begun = process.hrtime.bigint()
          const path = `/hooks/privacyidea/${encodeURIComponent(guesses[which])}/lock`
          await (await fetch(`${at.url}${path}`, { method: 'POST', body: 'serial=A' })).arrayBuffer()
          timesUs[which].push(Number(process.hrtime.bigint() - begun) / 1000)
        }
      }
      const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length / 2] ?? 0
      const [far, near] = [median(timesUs.far), median(timesUs.near)]
      console.log(
        `a wrong secret is answered in ${far.toFixed(0)} us, one that is nearly right in ${near.toFixed(0)} us`,
      )
      expect(Math.abs(far - near)).toBeLessThan(Math.max(far, near) * 0.25)
    },
  )

  test('an address that may not call gets that answer even with the right secret', async () => {
    await using at = await newFixture({ allow: ['192.0.2.0/24', '2001:db8::/32'] })
    expect(await post(at, HOOK, 'serial=A')).toMatchObject({ status: 404, body: NOT_FOUND })
    expect((await fetch(`${at.url}/healthz`)).status).toBe(200)
    expect(at.intake.calls).toEqual([])
  })

  test('an address that may call, by IPv4 on a listener for IPv6 too', async () => {
    await using at = await newFixture({ host: '::', allow: ['127.0.0.1/32'] })
    using raw = await openRaw(at.port, '127.0.0.1')
    raw.send(`POST ${HOOK} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\nserial=A`)
    expect(await raw.closed).toMatch(/^HTTP\/1\.1 202 /)
    using other = await openRaw(at.port, '::1')
    other.send(`POST ${HOOK} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\nserial=A`)
    expect(await other.closed).toMatch(/^HTTP\/1\.1 404 /)
  })
})

describe('the secret', () => {
  test('may be changed while the server runs, and one that cannot be read any more stays in force', async () => {
    await using at = await newFixture()
    at.secret = 'a new secret'
    at.pass(2000)
    expect((await post(at, HOOK, 'serial=A')).status).toBe(404)
    const fresh = '/hooks/privacyidea/a%20new%20secret/lock'
    expect((await post(at, fresh, 'serial=A')).status).toBe(202)
    at.secret = null
    at.pass(2000)
    expect((await post(at, fresh, 'serial=B')).status).toBe(202)
    expect(at.errors.map((error) => error.code)).toEqual(['file-not-permitted'])
  })

  test('never stands in an error or an answer', async () => {
    await using at = await newFixture()
    at.intake.before = () => {
      throw new Error('database gone')
    }
    const answers = [
      await post(at, HOOK, 'serial=A'),
      await post(at, `${HOOK}x`, 'serial=A'),
      await post(at, HOOK, 'x'.repeat(9000)),
    ]
    const said = JSON.stringify([answers, at.errors.map((error) => [error.message, error.hint, error.stack])])
    expect(said).not.toContain('staple')
  })
})

test('healthz says ready or not, to GET and HEAD, and nothing else', async () => {
  await using at = await newFixture()
  const ready = await fetch(`${at.url}/healthz`)
  expect([ready.status, await ready.json()]).toEqual([200, { status: 'ready' }])
  at.ready = false
  const waiting = await fetch(`${at.url}/healthz?x=1`)
  expect([waiting.status, await waiting.json()]).toEqual([503, { status: 'not-ready' }])
  const head = await fetch(`${at.url}/healthz`, { method: 'HEAD' })
  expect([head.status, await head.text()]).toEqual([503, ''])
  expect((await fetch(`${at.url}/healthz`, { method: 'POST' })).status).toBe(405)
})

test('whatever the body and the path, the answer is JSON with a status of the table', { timeout: 60_000 }, async () => {
  await using at = await newFixture({ requestsPerSecondMax: 100_000 })
  const nasty = fc.constantFrom(
    '../../etc/passwd',
    '*)(uid=*',
    'cn=a,dc=b',
    'a\ndn: cn=x\nchangetype: delete',
    'x\0y',
    '\r\nX: y',
    '%00',
    '\u2028',
  )
  const text = fc.oneof(nasty, fc.string({ unit: 'binary', maxLength: 60 }))
  const form = fc.array(fc.tuple(fc.constantFrom('user', 'realm', 'serial', 'x'), text), { maxLength: 5 })
  const body = fc.oneof(
    form.map((pairs) => Buffer.from(pairs.map(([name, value]) => `${name}=${value}`).join('&'))),
    form.map((pairs) => Buffer.from(JSON.stringify(Object.fromEntries(pairs)))),
    fc.uint8Array({ maxLength: 6000 }).map((bytes) => Buffer.from(bytes)),
  )
  const kind = fc.oneof(
    fc.constantFrom(...TOKEN_EVENT_KINDS),
    text.map((each) => encodeURIComponent(each.toWellFormed())),
  )
  await fc.assert(
    fc.asyncProperty(
      kind,
      body,
      fc.constantFrom('', 'json', 'application/json'),
      async (name, content, contentType) => {
        const answer = await post(at, `/hooks/privacyidea/${SECRET_PATH}/${name}`, content, contentType)
        expect([202, 400, 404, 413]).toContain(answer.status)
        if (answer.status === 400) expect(answer.body).toMatchObject({ error: { code: 'event-invalid' } })
      },
    ),
    { numRuns: 300 },
  )
  for (const each of at.intake.refused) expect(each.reason).toMatch(/^[\u0020-\u007e…]+$/)
})
