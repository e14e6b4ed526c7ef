import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setInterval as every } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'
import { newAllowList } from '../../src/http/allow-list.ts'
import { newRateLimit } from '../../src/http/rate-limit.ts'
import { startHttp, type HttpOptions } from '../../src/http/server.ts'
import { readWebhook } from '../../src/intake/webhook.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { newMemoryIntake } from '../intake/memory-intake.ts'
import { newFixture, openRaw, post, SECRET_PATH, settings, type Raw } from './fixture.ts'

const HOOK = `/hooks/privacyidea/${SECRET_PATH}/lock`
const TIMEOUTS = { requestMs: 400, idleMs: 400 }

function head(...lines: string[]): string {
  return [`POST ${HOOK} HTTP/1.1`, 'Host: x', ...lines, '', ''].join('\r\n')
}

describe('too much', () => {
  test('a body over the limit is answered 413, announced or not', async () => {
    await using at = await newFixture({ bodyBytesMax: 1000 })
    expect(await post(at, HOOK, `serial=${'A'.repeat(994)}`)).toMatchObject({
      status: 413,
      body: { error: { code: 'too-large' } },
    })
    expect((await post(at, HOOK, `serial=A&x=${'x'.repeat(900)}`)).status).toBe(202)
    using raw = await openRaw(at.port)
    raw.send(head('Transfer-Encoding: chunked'))
    for (let each = 0; each < 40; each++) raw.send(`64\r\n${'x'.repeat(100)}\r\n`)
    expect(await raw.closed).toMatch(/^HTTP\/1\.1 413 /)
    using megabyte = await openRaw(at.port)
    megabyte.send(head('Content-Length: 1048576') + 'x'.repeat(1048576))
    expect(await megabyte.closed).toMatch(/^HTTP\/1\.1 413 /)
    expect(at.intake.events).toHaveLength(1)
  })

  test('a caller who never stops sending is cut off', async () => {
    await using at = await newFixture({ bodyBytesMax: 1000 }, TIMEOUTS)
    using raw = await openRaw(at.port)
    raw.send(head('Transfer-Encoding: chunked'))
    const timer = setInterval(() => raw.send(`64\r\n${'x'.repeat(100)}\r\n`), 5)
    expect(await raw.closed).toMatch(/^HTTP\/1\.1 413 /)
    clearInterval(timer)
  })

  test('headers over the limit are refused', async () => {
    await using at = await newFixture()
    using raw = await openRaw(at.port)
    raw.send(head(`X: ${'x'.repeat(9000)}`))
    expect(await raw.closed).toMatch(/^HTTP\/1\.1 431 /)
  })

  test('requests beyond the rate are answered 429 with when to come again, and admitted a second later', async () => {
    await using at = await newFixture({ requestsPerSecondMax: 5 })
    const statuses: number[] = []
    for (let each = 0; each < 8; each++) {
      const answer = await post(at, HOOK, 'serial=A')
      statuses.push(answer.status)
      if (answer.status === 429) expect(answer.headers.get('retry-after')).toBe('1')
    }
    expect(statuses.slice(0, 5)).toEqual([202, 202, 202, 202, 202])
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(2)
    at.pass(1000)
    expect((await post(at, HOOK, 'serial=A')).status).toBe(202)
    expect((await fetch(`${at.url}/healthz`)).status).toBe(200)
  })

  test('wrong secrets do not use up the budget of the right one', async () => {
    await using at = await newFixture({ requestsPerSecondMax: 5 })
    const wrong: number[] = []
    for (let each = 0; each < 8; each++) wrong.push((await post(at, `${HOOK.slice(0, -6)}x/lock`, 'serial=A')).status)
    expect(wrong.slice(0, 5)).toEqual([404, 404, 404, 404, 404])
    expect(wrong.filter((status) => status === 429).length).toBeGreaterThanOrEqual(2)
    expect((await post(at, HOOK, 'serial=A')).status).toBe(202)
  })
})

describe('whoever does not show the secret makes room', () => {
  test('of more than 256 connections of one caller the oldest without the secret is closed for a new one', async () => {
    await using at = await newFixture({}, { headersMs: 60_000, requestMs: 60_000, idleMs: 60_000 })
    using known = await openRaw(at.port)
    known.send(head('Content-Length: 8') + 'serial=A')
    await known.received(/^HTTP\/1\.1 202 /)
    using oldest = await openRaw(at.port)
    const others: Raw[] = []
    for (let each = 0; each < 254; each++) others.push(await openRaw(at.port))
    expect((await post(at, HOOK, 'serial=B')).status).toBe(202)
    expect(await oldest.closed).toBe('')
    known.send(head('Content-Length: 8', 'Connection: close') + 'serial=C')
    expect(await known.closed).toMatch(/202 [^]*202 /)
    for (const each of others) each[Symbol.dispose]()
  })

  test('500 half-open connections and 1,000 wrong secrets a second keep no hook from its 202', async () => {
    await using at = await newFixture({ requestsPerSecondMax: 100 })
    const flood = spawn(process.execPath, [fileURLToPath(new URL('flood.ts', import.meta.url)), String(at.port)])
    let said = ''
    flood.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const ended = once(flood, 'close')
    const end = async (): Promise<void> => {
      flood.stdin.end()
      await ended
    }
    await using atLast = new AsyncDisposableStack()
    atLast.defer(end)
    await vi.waitFor(() => expect(said).toContain('ready'), { timeout: 20_000 })
    const took: number[] = []
    for await (const _ of every(50, { signal: AbortSignal.timeout(60_000) })) {
      if (took.length === 100) break
      const begun = performance.now()
      using raw = await openRaw(at.port)
      raw.send(head('Content-Length: 8', 'Connection: close') + 'serial=A')
      expect(await raw.closed).toMatch(/^HTTP\/1\.1 202 /)
      took.push(performance.now() - begun)
    }
    await end()
    const sorted = took.toSorted((a, b) => a - b)
    console.log(
      `right hooks: median ${sorted[50]?.toFixed(1)} ms, longest ${sorted[99]?.toFixed(1)} ms; the flood: ${said.replace('\n', ' ')}`,
    )
    // On a machine with a processor to spare all are well below a second; on one that is busy with other things the server
    // falls behind now and then. privacyIDEA waits 10 s.
    expect(sorted[89]).toBeLessThan(1000)
    expect(sorted[99]).toBeLessThan(10_000)
  })
})

describe('slow callers are cut off', () => {
  test.each([
    ['who say nothing', ''],
    ['who never end their headers', `POST ${HOOK} HTTP/1.1\r\nHost: x\r\n`],
    ['who never send the body that they announced', head('Content-Length: 8') + 'ser'],
    ['who never end a chunked body', head('Transfer-Encoding: chunked') + '3\r\nser\r\n'],
  ])('%s', async (_name, bytes) => {
    await using at = await newFixture({}, TIMEOUTS)
    using raw = await openRaw(at.port)
    if (bytes !== '') raw.send(bytes)
    expect(await raw.closed).toMatch(/^(?:HTTP\/1\.1 408 |$)/)
    expect(at.intake.calls).toEqual([])
  })

  test('who send a byte now and then', async () => {
    await using at = await newFixture({}, TIMEOUTS)
    using raw = await openRaw(at.port)
    raw.send(`POST ${HOOK} HTTP/1.1\r\nHost: x\r\nX: `)
    const timer = setInterval(() => raw.send('x'), 20)
    expect(await raw.closed).toMatch(/^(?:HTTP\/1\.1 408 |$)/)
    clearInterval(timer)
  })

  test('and do not keep others from being served', async () => {
    await using at = await newFixture()
    const slow = await Promise.all(Array.from({ length: 50 }, () => openRaw(at.port)))
    for (const each of slow) each.send(`POST ${HOOK} HTTP/1.1\r\nHost: x\r\n`)
    expect((await post(at, HOOK, 'serial=A')).status).toBe(202)
    for (const each of slow) each[Symbol.dispose]()
  })
})

describe('on the wire', () => {
  test('pipelined requests are answered in order, each after its event is durable', async () => {
    await using at = await newFixture()
    using raw = await openRaw(at.port)
    const one = (serial: string): string => head('Content-Length: 8') + `serial=${serial}`
    raw.send(one('A') + one('B') + `GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    const text = await raw.closed
    expect([...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map((match) => match[1])).toEqual(['202', '202', '200'])
    expect(at.intake.events.map((event) => event.serial)).toEqual(['A', 'B'])
  })

  test('a chunked body in pieces is one event', async () => {
    await using at = await newFixture()
    using raw = await openRaw(at.port)
    raw.send(head('Transfer-Encoding: chunked', 'Connection: close'))
    for (const piece of 'serial=A') raw.send(`1\r\n${piece}\r\n`)
    raw.send('0\r\n\r\n')
    expect(await raw.closed).toMatch(/^HTTP\/1\.1 202 .*\{"accepted":1\}\n$/s)
  })

  test.each([
    ['no HTTP', 'hello\r\n\r\n'],
    ['two lengths', head('Content-Length: 8', 'Content-Length: 9') + 'serial=A'],
    ['a length and chunks', head('Content-Length: 8', 'Transfer-Encoding: chunked') + '8\r\nserial=A\r\n0\r\n\r\n'],
    ['a length below zero', head('Content-Length: -1') + 'serial=A'],
  ])('%s is refused', async (_name, bytes) => {
    await using at = await newFixture({}, TIMEOUTS)
    using raw = await openRaw(at.port)
    raw.send(bytes)
    expect(await raw.closed).toMatch(/^HTTP\/1\.1 400 /)
    expect(at.intake.calls).toEqual([])
  })

  test('a caller who goes away in the middle leaves no event', async () => {
    await using at = await newFixture()
    {
      using raw = await openRaw(at.port)
      raw.send(head('Content-Length: 8', 'Expect: 100-continue'))
      await raw.received(/^HTTP\/1\.1 100 /)
      raw.send('serial')
    }
    expect((await post(at, HOOK, 'serial=B')).status).toBe(202)
    expect(at.intake.events.map((event) => event.serial)).toEqual(['B'])
    expect(at.errors).toEqual([])
  })
})

describe('starting and stopping', () => {
  function options(changes: Partial<HttpOptions> = {}): HttpOptions {
    return {
      settings: settings(),
      intake: newMemoryIntake(),
      clock: systemClock,
      readHook: readWebhook,
      readSecret: () => 'long enough',
      isReady: () => true,
      ...changes,
    }
  }

  test('a port in use is named, with the key to change', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const address = taken.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await expect(startHttp(options({ settings: settings({ port }) }))).rejects.toMatchObject({
      code: 'address-in-use',
      message: `127.0.0.1:${port} is in use by another process.`,
      hint: expect.stringContaining('intake.http.listen'),
    })
    await new Promise((resolve) => taken.close(resolve))
  })

  test('an address that is not of this machine is named', async () => {
    await expect(startHttp(options({ settings: settings({ host: '192.0.2.1', port: 8640 }) }))).rejects.toMatchObject({
      code: 'config-invalid',
      message: 'Cannot listen on 192.0.2.1:8640 (EADDRNOTAVAIL).',
      hint: expect.stringContaining('intake.http.listen'),
    })
  })

  test('a secret that can be guessed is refused', async () => {
    await expect(startHttp(options({ readSecret: () => 'short' }))).rejects.toMatchObject({
      code: 'config-invalid',
      hint: expect.stringContaining('openssl rand'),
    })
  })

  test('a request at hand is answered before the server is gone, and idle connections do not hold it up', async () => {
    const at = await newFixture({}, { idleMs: 60_000 })
    const { promise, resolve } = Promise.withResolvers<void>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    at.intake.before = () => {
      begin()
      return promise
    }
    using idle = await openRaw(at.port)
    idle.send('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    await idle.received(/ready/)
    const answer = post(at, HOOK, 'serial=A')
    await begun
    const stopped = at[Symbol.asyncDispose]()
    resolve()
    expect((await answer).status).toBe(202)
    await stopped
    await idle.closed
    await expect(openRaw(at.port)).rejects.toThrow(/ECONNREFUSED/)
  })
})

describe('the allow list', () => {
  test.each([
    [[], '127.0.0.1', true],
    [[], '::1', true],
    [[], '::ffff:127.0.0.1', true],
    [[], '192.0.2.1', false],
    [['192.0.2.0/24'], '192.0.2.255', true],
    [['192.0.2.0/24'], '::ffff:192.0.2.7', true],
    [['192.0.2.0/24'], '192.0.3.0', false],
    [['192.0.2.0/24'], '127.0.0.1', false],
    [['2001:db8::/32'], '2001:db8:ffff::1', true],
    [['2001:db8::/32'], '2001:db9::1', false],
    [['::ffff:192.0.2.0/120'], '192.0.2.9', true],
    [['fe80::/10'], 'fe80::1%eth0', true],
    [['0.0.0.0/0'], '203.0.113.5', true],
    [['0.0.0.0/0'], '2001:db8::1', false],
    [['::/0'], '2001:db8::1', true],
    [[], '', false],
    [[], 'nonsense', false],
  ])('%j and %s: %j', (networks, address, expected) => {
    expect(newAllowList(networks).allows(address)).toBe(expected)
  })
})

describe('the rate limit', () => {
  test('counts each IPv4 address, and each IPv6 network of 64 bits, by itself', () => {
    const limit = newRateLimit(1)
    expect(limit.admit('192.0.2.1', 0)).toBe(true)
    expect(limit.admit('192.0.2.1', 0)).toBe(false)
    expect(limit.admit('192.0.2.2', 0)).toBe(true)
    expect(limit.admit('2001:db8::1', 0)).toBe(true)
    expect(limit.admit('2001:db8:0:0:ffff::2', 0)).toBe(false)
    expect(limit.admit('2001:db8:0:1::1', 0)).toBe(true)
    expect(limit.admit('192.0.2.1', 999)).toBe(false)
    expect(limit.admit('192.0.2.1', 1000)).toBe(true)
  })

  test('a clock that goes back neither gives nor takes', () => {
    const limit = newRateLimit(2)
    expect([limit.admit('a', 5000), limit.admit('a', 0), limit.admit('a', 100)]).toEqual([true, true, false])
  })

  test('forgets the quietest of more than 10,000 addresses, and no other', () => {
    const limit = newRateLimit(1)
    expect(limit.admit('first', 0)).toBe(true)
    expect(limit.admit('second', 0)).toBe(true)
    for (let each = 0; each < 9998; each++) limit.admit(`a${each}`, 0)
    expect(limit.admit('first', 1)).toBe(false)
    limit.admit('one more', 1)
    expect(limit.admit('first', 1)).toBe(false)
    expect(limit.admit('second', 1)).toBe(true)
  })
})
