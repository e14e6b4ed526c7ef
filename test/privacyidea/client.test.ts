import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { AppError } from '../../src/core/error.ts'
import type { SourceSettings } from '../../src/core/settings/settings.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { Client } from '../../src/privacyidea/http/client.ts'
import { errorOf } from '../directory/contract.ts'
import { freePort } from '../servers/free-port.ts'
import { makeTempDir } from '../servers/temp-dir.ts'
import { makeCertificates } from '../servers/test-certificates.ts'
import {
  granted,
  html,
  json,
  jwtFor,
  no,
  startScripted,
  yes,
  type Script,
  type ScriptedServer,
} from './scripted-server.ts'
import { PASSWORD, secretIs, sourceSettings } from './source-settings.ts'

const TOKENS = { method: 'GET', path: '/token/', query: { serial: 'A1' } } as const
const NO_TOKENS = { count: 0, tokens: [] }

function clientOf(url: string, change: Partial<SourceSettings> = {}, secret = secretIs()): Client {
  return new Client(sourceSettings(url, change), secret, systemClock)
}

/** A server that lets everybody in, and says this to all else. */
async function serverThatSays(script: Script): Promise<ScriptedServer> {
  const jwt = jwtFor('lockstep', 3600)
  return startScripted((request, response) =>
    request.path === '/auth' ? yes(response, granted(jwt)) : script(request, response),
  )
}

async function failureOf(server: ScriptedServer, change: Partial<SourceSettings> = {}): Promise<AppError> {
  await using client = clientOf(server.url, change)
  return await errorOf(client.call(TOKENS))
}

describe('logging in', () => {
  test('happens once for all who ask at the same time, and is not repeated', async () => {
    await using server = await serverThatSays((_, response) => yes(response, NO_TOKENS))
    await using client = clientOf(server.url)
    await Promise.all(Array.from({ length: 20 }, () => client.call(TOKENS)))
    expect(server.received.filter(({ path }) => path === '/auth').map(({ body }) => body)).toEqual([
      { username: 'lockstep', password: PASSWORD },
    ])
    expect(await client.version()).toEqual({ text: '3.14', major: 3, minor: 14 })
    expect((await client.login()).rights).toEqual(new Set(['tokenlist']))
  })

  test('sends the token without "Bearer", and no content type where there is no body', async () => {
    await using server = await serverThatSays((_, response) => yes(response, NO_TOKENS))
    await using client = clientOf(server.url)
    await client.call(TOKENS)
    const { headers, query } = server.received.at(-1) ?? {}
    expect(headers?.authorization).toBe((await client.login()).jwt)
    expect(headers).not.toHaveProperty('content-type')
    expect(query?.get('serial')).toBe('A1')
  })

  test('answers the challenge of an administrator of a realm with the same password', async () => {
    await using server = await startScripted(({ path, body }, response) => {
      if (path !== '/auth') return yes(response, NO_TOKENS)
      if (body['transaction_id'] === '42') return yes(response, granted(jwtFor('boss', 3600)))
      return yes(response, false, { detail: { multi_challenge: [{}], transaction_id: '42' } })
    })
    const login = { kind: 'password', user: 'boss', realm: 'admins', password: { env: 'X' } } as const
    await using client = clientOf(server.url, { login })
    await client.call(TOKENS)
    expect(server.received[1]?.body).toEqual({
      username: 'boss',
      realm: 'admins',
      password: PASSWORD,
      transaction_id: '42',
    })
  })

  test('is renewed before its token ends', async () => {
    let logins = 0
    await using server = await startScripted(({ path }, response) =>
      yes(response, path === '/auth' ? granted(jwtFor(`n${++logins}`, 100)) : NO_TOKENS),
    )
    const late = { nowMs: () => nowMs, random: () => 0 }
    let nowMs = Date.now()
    await using client = new Client(sourceSettings(server.url), secretIs(), late)
    await client.call(TOKENS)
    nowMs += 80_000
    await client.call(TOKENS)
    expect(logins).toBe(1)
    nowMs += 15_000
    await Promise.all([client.call(TOKENS), client.call(TOKENS)])
    expect(logins).toBe(2)
  })

  test('is renewed when its token is refused in the middle, and the call is repeated', async () => {
    let logins = 0
    await using server = await startScripted(({ path, headers }, response) => {
      if (path === '/auth') return yes(response, granted(jwtFor(`n${++logins}`, 3600)))
      const isNew = headers.authorization?.endsWith('.n2') === true
      return isNew ? yes(response, NO_TOKENS) : no(response, 401, 4305, 'Your token has expired!')
    })
    await using client = clientOf(server.url)
    const answers = await Promise.all(Array.from({ length: 8 }, () => client.call(TOKENS)))
    expect(answers.map(({ value }) => value)).toEqual(Array.from({ length: 8 }, () => NO_TOKENS))
    expect(logins).toBe(2)
  })

  test('that was refused is not tried again at once, since each try counts against the account', async () => {
    let isOpen = false
    await using server = await startScripted(({ path }, response) =>
      isOpen
        ? yes(response, path === '/auth' ? granted(jwtFor('n', 3600)) : NO_TOKENS)
        : no(response, 401, 4031, `Authentication failure. Wrong credentials ${PASSWORD}`),
    )
    let secret = PASSWORD
    await using client = clientOf(server.url, {}, () => secret)
    const errors = [await errorOf(client.call(TOKENS)), await errorOf(client.call(TOKENS))]
    expect(errors.map(({ code }) => code)).toEqual(['source-login-refused', 'source-login-refused'])
    expect(server.received).toHaveLength(1)
    expect(errors[0]?.message).toContain('/auth: the login was refused (HTTP 401, error 4031')
    expect(`${errors[0]?.message} ${errors[0]?.hint}`).not.toContain(PASSWORD)
    isOpen = true
    secret = 'another'
    expect((await client.call(TOKENS)).value).toEqual(NO_TOKENS)
  })

  test('as a user instead of an administrator is refused', async () => {
    await using server = await startScripted((_, response) =>
      yes(response, { token: jwtFor('u', 3600), role: 'user', username: 'u', realm: 'r', rights: [] }),
    )
    expect(await failureOf(server)).toMatchObject({ code: 'source-login-refused' })
  })

  test('with a token file sends the token as it is, and reads the file again when it is refused', async () => {
    let secret = jwtFor('old', 3600)
    await using server = await startScripted(({ headers }, response) =>
      headers.authorization?.endsWith('.new') === true ? yes(response, NO_TOKENS) : no(response, 401, 4305, 'expired'),
    )
    const login = { kind: 'token', token: { env: 'X' } } as const
    await using client = clientOf(server.url, { login }, () => secret)
    expect(await errorOf(client.call(TOKENS))).toMatchObject({ code: 'source-login-refused' })
    secret = jwtFor('new', 3600)
    expect((await client.call(TOKENS)).value).toEqual(NO_TOKENS)
    expect(server.received.some(({ path }) => path === '/auth')).toBe(false)
    expect((await client.login()).rights).toBeNull()
  })
})

describe('what a failure is called', () => {
  const cases: [string, Script, string, RegExp][] = [
    ['a page of HTML with 500', (_, r) => html(r, 500), 'source-answer', /it answered with text\/html instead of JSON/],
    ['a page of HTML with 400', (_, r) => html(r, 400), 'source-answer', /HTTP 400/],
    ['a page of HTML with 200', (_, r) => html(r, 200), 'source-answer', /text\/html/],
    [
      'JSON that is none',
      (_, r) => void r.setHeader('content-type', 'application/json').end('{"result"'),
      'source-answer',
      /no answer of privacyIDEA/,
    ],
    ['JSON of somebody else', (_, r) => json(r, 200, { hello: 1 }), 'source-answer', /no answer of privacyIDEA/],
    ['an error with status 200', (_, r) => no(r, 200, 10, 'odd'), 'source-answer', /error 10: odd/],
    ['an error of the server', (_, r) => no(r, 500, -500, 'boom'), 'source-answer', /error -500: boom/],
    ['a proxy without a server behind it', (_, r) => html(r, 502), 'source-unreachable', /the proxy does not reach/],
    [
      'a redirection',
      (_, r) => void r.writeHead(302, { location: 'https://x' }).end(),
      'source-answer',
      /not followed/,
    ],
    [
      'a missing right',
      (_, r) => no(r, 403, 303, 'not allowed'),
      'source-not-permitted',
      /the right for it is missing/,
    ],
    ['a user store that is down', (_, r) => no(r, 400, 907, 'no resolver'), 'source-resolver', /does not answer/],
    ['an unknown user', (_, r) => no(r, 400, 904, 'no user'), 'unknown-user', /no such user/],
    ['a connection that is cut', (_, r) => void r.destroy(), 'source-unreachable', /closed|reset/],
    [
      'an answer that is cut',
      (_, r) => void r.writeHead(200, { 'content-length': 99 }).write('{', () => r.destroy()),
      'source-unreachable',
      /closed|reset/,
    ],
  ]
  test.each(cases)('%s', async (_, script, code, message) => {
    await using server = await serverThatSays(script)
    const error = await failureOf(server)
    expect(error).toMatchObject({ code })
    expect(error.message).toMatch(message)
    expect(error.message).toContain(`privacyIDEA: GET ${server.url}/token/: `)
    expect(error.message).not.toContain('A1')
  })

  test('a server that does not answer in time, or stops in the middle', async () => {
    await using silent = await serverThatSays(() => undefined)
    expect(await failureOf(silent, { timeoutMs: 300 })).toMatchObject({ code: 'source-timeout' })
    await using stuck = await serverThatSays((_, response) => void response.writeHead(200).write('{'))
    expect(await failureOf(stuck, { timeoutMs: 1_000 })).toMatchObject({
      code: 'source-timeout',
      message: expect.stringMatching(/no answer within 1 s$/),
    })
  })

  test('an answer without end is not read to its end', async () => {
    await using server = await serverThatSays(async (_, response) => {
      const chunk = Buffer.alloc(1024 * 1024, ' ')
      while (!response.destroyed) await new Promise<void>((done) => response.write(chunk, () => done()))
    })
    const error = await failureOf(server, { timeoutMs: 60_000 })
    expect(error).toMatchObject({ code: 'source-answer' })
    expect(error.message).toContain('larger than 16 MiB')
  })

  test('nobody listens', async () => {
    await using client = clientOf(`http://127.0.0.1:${await freePort()}`)
    const error = await errorOf(client.call(TOKENS))
    expect(error).toMatchObject({ code: 'source-unreachable' })
    expect(error.message).toContain('the connection was refused (ECONNREFUSED)')
  })

  test('more calls at once than may wait', async () => {
    await using server = await serverThatSays((_, response) => yes(response, NO_TOKENS))
    await using client = clientOf(server.url)
    await client.login()
    const outcomes = await Promise.allSettled(Array.from({ length: 300 }, () => client.call(TOKENS)))
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    expect(refused).toHaveLength(44)
    expect(refused[0]).toMatchObject({ reason: { code: 'limit-exceeded' } })
  })
})

describe('a connection that breaks', () => {
  const brokenOnce = (broken: { left: number }): Script => {
    return (_, response) => (broken.left-- > 0 ? void response.destroy() : yes(response, NO_TOKENS))
  }

  test('is not noticed by who only reads', async () => {
    await using server = await serverThatSays(brokenOnce({ left: 1 }))
    await using client = clientOf(server.url)
    expect((await client.call(TOKENS)).value).toEqual(NO_TOKENS)
  })

  test('is told to who writes, since it may have been done', async () => {
    await using server = await serverThatSays(brokenOnce({ left: 1 }))
    await using client = clientOf(server.url)
    const write = { method: 'POST', path: '/event', body: { name: 'x' } } as const
    expect(await errorOf(client.call(write))).toMatchObject({ code: 'source-unreachable' })
    expect(server.received.filter(({ path }) => path === '/event')).toHaveLength(1)
  })
})

describe('TLS', () => {
  async function failure(certificate: 'good' | 'wrong-name' | 'expired', trusted: boolean): Promise<AppError | null> {
    await using temp = await makeTempDir('pi-tls')
    const { caFile, certFile, keyFile } = await makeCertificates(temp.path, certificate)
    const tls = { key: await readFile(keyFile, 'utf8'), cert: await readFile(certFile, 'utf8') }
    const answer: Script = ({ path }, response) =>
      yes(response, path === '/auth' ? granted(jwtFor('n', 3600)) : NO_TOKENS)
    await using server = await startScripted(answer, tls)
    await using client = clientOf(server.url, trusted ? { caFile } : {})
    return await client.call(TOKENS).then(
      () => null,
      (error: AppError) => error,
    )
  }

  test('with the certification authority of the configuration works', async () => {
    expect(await failure('good', true)).toBeNull()
  })

  test.each([
    ['an unknown authority', 'good', false, /not signed by a certification authority/],
    ['another name', 'wrong-name', true, /for another name/],
    ['a certificate that has expired', 'expired', true, /has expired/],
  ] as const)('with %s is refused before the password is sent', async (_, certificate, trusted, message) => {
    const error = await failure(certificate, trusted)
    expect(error).toMatchObject({ code: 'source-tls' })
    expect(error?.message).toMatch(message)
  })

  test('with a CA file that is not there says so', async () => {
    await using temp = await makeTempDir('pi-tls')
    await using client = clientOf('https://localhost:1', { caFile: join(temp.path, 'none.pem') })
    const error = await errorOf(client.call(TOKENS))
    expect(error).toMatchObject({ code: 'source-tls' })
    expect(error.message).toContain('none.pem: it is not there')
  })
})
