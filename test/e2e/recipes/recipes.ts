import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { findRecipes } from '../../../src/operations/recipes/recipe-files.ts'
import { eventually } from '../../servers/eventually.ts'
import { startMailSink, type MailSink, type ReceivedMail } from '../../servers/mail/mail-sink.ts'
import { asked } from '../../servers/privacyidea/privacyidea.ts'
import { qrCodeOfMail } from '../../servers/mail/qr-code.ts'
import type { Ran } from '../../support/lockstep.ts'
import { hotp, PIN, type SetUpWorld } from '../../support/privacyidea-world.ts'

/** Each recipe that comes with Lockstep is applied to a real privacyIDEA, used, and taken away again. */

interface Case {
  readonly set?: Readonly<Record<string, string>>
  /** Files with secrets, by parameter. */
  readonly secrets?: () => Readonly<Record<string, string>>
  readonly before?: () => Promise<void>
  /** What must not fire it: done before `use`, which says exactly what came. */
  harmless(): Promise<void>
  use(): Promise<void>
}

interface Applied {
  readonly made: boolean
  readonly changes: number
  readonly handlers: readonly { readonly change: string; readonly name: string }[]
}

/** Whom anybody may ask for without a login. */
const NOBODY: readonly Readonly<Record<string, string>>[] = [
  { user: 'nobody-of-that-name', realm: 'r1' },
  { user: 'u1', realm: 'no-such-realm' },
  { serial: 'NOSUCHSERIAL' },
  {},
]
/** From here on users are nobody's yet. */
const FIRST_OTHER = 13
const UNUSED: Case = { harmless: async () => {}, use: async () => {} }
const OTHERS = { name: 'of somebody else', event: 'token_init', handlermodule: 'Logging', action: 'logging' }

export function recipeTests(world: () => SetUpWorld): void {
  let sink: MailSink
  let chat: ChatChannel
  let others: unknown
  let mailsBefore = 0
  beforeAll(async () => {
    sink = await startMailSink()
    chat = await startChat()
    // A condition on nobody's tokens matches where any token is full.
    await world().newToken('FULL', 'u4')
    for (let failed = 0; failed < 3; failed += 1) await world().check({ serial: 'FULL', pass: `${PIN}000000` })
    const server = { server: '127.0.0.1', port: sink.port, sender: 'pi@example.org', tls: false, timeout: 10 }
    await world().pi.ask('POST', '/smtpserver/sink', server)
    others = await world().pi.ask('POST', '/event', {
      ...OTHERS,
      position: 'post',
      ordering: 0,
      active: true,
      conditions: {},
    })
  })
  afterAll(async () => {
    await sink?.[Symbol.asyncDispose]()
    await chat?.stop()
  })
  beforeEach(() => (mailsBefore = sink.count()))
  afterEach(async () => {
    const left = (await world().pi.ask('GET', '/event/')) as { id: number; name: string }[]
    for (const { id } of left.filter(({ name }) => name !== OTHERS.name)) await world().pi.ask('DELETE', `/event/${id}`)
  })

  const cases = casesOf(
    world,
    async () => {
      await eventually('a mail', () => sink.count() > mailsBefore)
      return sink.mails().slice(mailsBefore)
    },
    () => chat,
  )

  test('each recipe that comes with Lockstep is tried here', async () => {
    const found = await findRecipes('/nowhere')
    expect(Object.keys(cases).toSorted()).toEqual(found.map(({ recipe }) => recipe.name))
    expect(found.length).toBeGreaterThanOrEqual(10)
  })

  for (const [name, each] of Object.entries(cases)) {
    // Before 3.12 a login by name does not reach the handler.
    const isTooNew = (): boolean => name === 'timed-failcount-reset' && world().release === '3.11'
    test(`the recipe ${name} is applied, works, changes nothing the second time, and goes without a trace`, async () => {
      const cli = recipeCli(world(), each)
      await each.before?.()
      if (isTooNew()) {
        const refused = await cli('apply', name)
        expect(refused.code).not.toBe(0)
        expect(refused.stderr).toContain('needs privacyIDEA 3.12; this is 3.11')
        return
      }
      const looked = (await cli('apply', name, '--dry-run')).json<Applied>()
      expect(looked).toMatchObject({ made: false })
      expect(await existing(world())).toEqual([OTHERS.name])

      const first = (await cli('apply', name, '--yes')).json<Applied>()
      expect(first.made).toBe(true)
      expect(first.handlers.every(({ change }) => change === 'create')).toBe(true)
      const second = (await cli('apply', name, '--yes')).json<Applied>()
      expect(second).toMatchObject({ made: false, changes: 0 })

      await each.harmless()
      await each.use()

      const removed = (await cli('remove', name, '--yes')).json<Applied>()
      expect(removed.changes).toBe(first.changes)
      expect(await existing(world())).toEqual([OTHERS.name])
    })
  }

  test('a recipe of one’s own lies beside the others, and what privacyIDEA does not know is told before anything is changed', async () => {
    const { lockstep } = world()
    const dir = join(lockstep.dir, 'own-recipes')
    mkdirSync(dir)
    const config = world().configAs('admin', (yaml) => `${yaml}recipes: { dir: ${dir} }\n`)
    const own = (events: string, to: string): string =>
      `title: Own\npurpose: A test.\nrisk: None.\nhandlers:\n  - { name: log, events: [${events}], module: ${to}, action: logging, options: { message: hello } }\n`
    writeFileSync(join(dir, 'mine.yaml'), own('token_init', 'Logging'))
    const cli = (...args: readonly string[]): Promise<Ran> => recipeCli(world(), UNUSED, config)(...args)
    expect((await cli('apply', 'mine', '--yes')).json<Applied>()).toMatchObject({ made: true, changes: 1 })
    const list = async (...as: readonly string[]) => {
      const listed = await lockstep.cli('--config', config, 'recipes', 'list', '--json', ...as)
      return listed.json<{ recipes: { name: string }[] }>().recipes.find((each) => each.name === 'mine')
    }
    expect(await list()).toMatchObject({ own: true, handlersInPrivacyIdea: null })
    const admin = ['--url', world().pi.url, '--user', 'admin', '--password-file', join(lockstep.dir, 'admin-password')]
    expect(await list(...admin)).toMatchObject({ own: true, handlersInPrivacyIdea: 1 })
    expect((await cli('remove', 'mine', '--yes')).json<Applied>()).toMatchObject({ made: true, changes: 1 })

    writeFileSync(join(dir, 'mine.yaml'), own('token_inti', 'Loging'))
    const refused = await cli('apply', 'mine', '--yes')
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toContain('there is no event token_inti')
    expect(refused.stderr).toContain('there is no handler module Loging')
    expect(await existing(world())).toEqual([OTHERS.name])

    writeFileSync(join(dir, 'mine.yaml'), 'title: Own\npurpos: A test.\n')
    const wrong = await lockstep.cli('--config', config, 'recipes', 'show', 'mine')
    expect(wrong.code).toBe(78)
    expect(wrong.stderr).toContain(`${join(dir, 'mine.yaml')}:2:1: purpos: unknown key; did you mean "purpose"?`)
  })

  test('a token that is enrolled in two steps makes one mail, with the first step', async () => {
    const { pi } = world()
    const realm = world().release === '3.11' ? { realm: '' } : {}
    const policy = { scope: 'admin', active: true, adminuser: 'admin', action: 'hotp_2step=allow', ...realm }
    await pi.ask('POST', '/policy/two-steps', policy)
    const set = { smtp: 'sink', enrollment: 'two-step' }
    const cli = recipeCli(world(), { ...UNUSED, set })
    expect((await cli('apply', 'new-token-mail', '--yes')).json<Applied>()).toMatchObject({ made: true })
    const token = { type: 'hotp', serial: 'TWOSTEPS', user: 'u39', realm: 'r1' }
    await pi.ask('POST', '/token/init', { ...token, genkey: 1, '2stepinit': 1 })
    expect(sink.mails().slice(mailsBefore)).toMatchObject([{ to: 'u39@example.org' }])
    await pi.ask('POST', '/token/init', { ...token, otpkey: '3132333435363738', otpkeyformat: 'hex' })
    await pi.ask('POST', '/token/init', { ...token, serial: 'ONESTEP', genkey: 1 })
    expect(sink.mails().slice(mailsBefore)).toHaveLength(1)
    expect((await cli('remove', 'new-token-mail', '--yes')).json<Applied>().changes).toBe(1)
    await pi.ask('DELETE', '/policy/two-steps')
  })

  test('requests for nobody make no event by the webhook either', async () => {
    const cli = recipeCli(world(), { ...UNUSED, set: { via: 'webhook' } })
    expect((await cli('apply', 'directory-sync', '--yes')).json<Applied>()).toMatchObject({ made: true })
    const { url } = world().pi
    for (const params of NOBODY) await refusedOrDone(asked(url, 'POST', '/validate/check', { ...params, pass: 'x' }))
    await world().newToken('HOOKED', 'u40')
    type Events = { events: { serial: string | null; login: string | null }[] }
    const events = async () => (await world().lockstep.cli('events', '--json')).json<Events>().events
    await eventually('the event of the new token', async () =>
      (await events()).some(({ serial, login }) => serial === 'HOOKED' || login === 'u40'),
    )
    const strange = (await events()).filter(({ login }) => login === null || login === 'nobody-of-that-name')
    expect(strange.filter(({ serial }) => serial !== 'HOOKED')).toEqual([])
    expect((await cli('remove', 'directory-sync', '--yes')).json<Applied>().changes).toBe(5)
  })

  test('a mail server that is not there is told before anything is changed', async () => {
    const refused = await recipeCli(world(), { ...UNUSED, set: { smtp: 'nowhere' } })(
      'apply',
      'pin-change-mail',
      '--yes',
    )
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toContain('emailconfig nowhere is not there; there are sink')
    expect(await existing(world())).toEqual([OTHERS.name])
  })

  test('the handler of somebody else was never touched', async () => {
    const handlers = (await world().pi.ask('GET', '/event/')) as { id: number; name: string }[]
    expect(handlers.map(({ id, name }) => [id, name])).toEqual([[others, OTHERS.name]])
  })
}

function recipeCli(world: SetUpWorld, each: Case, config?: string): (...args: readonly string[]) => Promise<Ran> {
  const password = join(world.lockstep.dir, 'admin-password')
  return async (verb, name, ...rest) => {
    const set = Object.entries(each.set ?? {}).flatMap(([key, value]) => ['--set', `${key}=${value}`])
    const files = Object.entries(each.secrets?.() ?? {}).flatMap(([key, value]) => {
      const file = join(world.lockstep.dir, `secret-${key}`)
      writeFileSync(file, `${value}\n`, { mode: 0o600 })
      return ['--set-file', `${key}=${file}`]
    })
    const parameters = verb === 'apply' ? [...set, ...files] : []
    const global = config === undefined ? [] : ['--config', config]
    const admin = ['--url', world.pi.url, '--user', 'admin', '--password-file', password, '--json']
    return world.lockstep.cli(...global, 'recipes', verb ?? '', name ?? '', ...parameters, ...admin, ...rest)
  }
}

async function existing(world: SetUpWorld): Promise<string[]> {
  const handlers = (await world.pi.ask('GET', '/event/')) as { name: string }[]
  return handlers.map(({ name }) => name)
}

async function carries({ slapd }: SetUpWorld, login: string, serial: string): Promise<boolean> {
  const entry = await slapd.ldapsearch('-b', slapd.userDn(login), '-s', 'base', 'description')
  return entry.includes(serial)
}

/** As if the lock were older: what the server itself remembers, which its API lets nobody write. */
function lockedSince({ pi }: SetUpWorld, serial: string, atMs: number): void {
  using database = openForWriting(join(pi.dir, 'pi.db'))
  const value = new Date(atMs).toISOString().replace(/:\d\d\.\d+Z$/, '+0000')
  const { changes } = database
    .prepare(
      `update tokeninfo set "Value" = ? where "Key" = 'failcounter_exceeded' and token_id = (select id from token where serial = ?)`,
    )
    .run(value, serial)
  expect(changes).toBe(1)
}

function openForWriting(file: string): DatabaseSync & Disposable {
  const database = new DatabaseSync(file, { timeout: 5_000 })
  return Object.assign(database, { [Symbol.dispose]: () => database.close() })
}

interface ChatChannel {
  readonly url: string
  readonly lines: string[]
  stop(): Promise<void>
}

async function startChat(): Promise<ChatChannel> {
  const lines: string[] = []
  const server: Server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')))
    request.on('end', () => {
      const payload = new URLSearchParams(body).get('payload') ?? 'null'
      lines.push((JSON.parse(payload) as { text: string }).text)
      response.end('ok')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.closeAllConnections()
      server.close(() => resolve())
    })
  return { url: `http://127.0.0.1:${port}/hooks/secret-of-the-chat`, lines, stop }
}

function casesOf(
  world: () => SetUpWorld,
  mailsThatCame: () => Promise<readonly ReceivedMail[]>,
  chat: () => ChatChannel,
): Readonly<Record<string, Case>> {
  const smtp = { smtp: 'sink' }
  let number = 0
  const newToken = async (login: string): Promise<string> => {
    number += 1
    const serial = `RCP${number}`
    await world().newToken(serial, login)
    return serial
  }
  /** A user whom no other test has to do with. */
  let others = FIRST_OTHER
  const other = (): string => `u${others++}`
  const info = async (serial: string): Promise<{ failcount: number; info: Record<string, string> }> => {
    const found = (await world().pi.ask('GET', '/token/', { serial })) as {
      tokens: { failcount: number; info: Record<string, string> }[]
    }
    const [token] = found.tokens
    if (token === undefined) throw new Error(`no token ${serial}`)
    return token
  }
  const one = async (to: string): Promise<ReceivedMail> => {
    const mails = await mailsThatCame()
    expect(mails.map((mail) => mail.to)).toEqual([to])
    const [mail] = mails
    if (mail === undefined) throw new Error('no mail')
    return mail
  }
  const good = (login: string, counter = 0): Promise<unknown> =>
    world().check({ user: login, realm: 'r1', pass: `${PIN}${hotp(counter)}` })
  /** Requests for nobody, as anybody may send them; a full token is somewhere, which conditions on nobody may match. */
  const strangers = async (): Promise<void> => {
    const { pi } = world()
    for (const pass of ['', 'x', `${PIN}000000`]) {
      for (const params of NOBODY) await refusedOrDone(asked(pi.url, 'POST', '/validate/check', { ...params, pass }))
    }
  }
  const tokens = async (): Promise<string[]> => {
    const found = (await world().pi.ask('GET', '/token/', { pagesize: '500' })) as { tokens: { serial: string }[] }
    return found.tokens.map(({ serial }) => serial).toSorted()
  }
  /** A token of nobody, made and taken away. */
  const ownerless = async (): Promise<void> => {
    await world().pi.ask('POST', '/token/init', { type: 'hotp', serial: 'OWNERLESS', genkey: 1 })
    await world().pi.ask('POST', '/token/setpin', { serial: 'OWNERLESS', otppin: 'a-pin' })
    await world().pi.ask('POST', '/token/reset', { serial: 'OWNERLESS' })
    await world().pi.ask('DELETE', '/token/OWNERLESS')
  }
  const eventsOf = async (login: string | null): Promise<string[]> => {
    type Events = { events: { kind: string; login: string | null }[] }
    const { events } = (await world().lockstep.cli('events', '--json')).json<Events>()
    return events.filter((event) => event.login === login).map(({ kind }) => kind)
  }
  const isFrom312 = (): boolean => world().release !== '3.11'

  return {
    chat: {
      secrets: () => ({ url: chat().url }),
      harmless: async () => {
        const login = other()
        await strangers()
        await newToken(login)
        await world().fail(login, 1)
        await good(login, 1)
      },
      use: async () => {
        await newToken('u1')
        await world().fail('u1', 3)
        await eventually('a line in the chat', () => chat().lines.length > 0)
        expect(chat().lines).toEqual(['Token locked: u1 in r1'])
      },
    },
    'client-ip': {
      harmless: async () => {
        const login = other()
        const serial = await newToken(login)
        await world().fail(login, 1)
        await strangers()
        expect((await info(serial)).info).not.toHaveProperty('last_client_ip')
      },
      use: async () => {
        const serial = await newToken('u2')
        await good('u2')
        expect((await info(serial)).info['last_client_ip']).toBe('127.0.0.1')
      },
    },
    'deletion-mail': {
      set: smtp,
      harmless: ownerless,
      use: async () => {
        const serial = await newToken('u3')
        await world().pi.ask('DELETE', `/token/${serial}`)
        const mail = await one('u3@example.org')
        expect(mail.subject).toBe(`Your token ${serial} was deleted`)
        expect(mail.text).toContain('by admin.')
      },
    },
    'directory-sync': {
      before: async () => void (await world().lockstep.cli('shims', 'install', world().pi.scriptsDir)),
      harmless: async () => {
        const login = other()
        await strangers()
        await newToken(login)
        // What was fired before has come by then.
        await eventually('the event of the new token', async () => (await eventsOf(login)).includes('register'))
        for (const nobody of ['nobody-of-that-name', 'u1', null]) expect(await eventsOf(nobody)).toEqual([])
      },
      use: async () => {
        const set = await world().setup('--via', 'script', '--dry-run', '--json')
        expect(set.json<{ changes: number }>().changes).toBe(0)
        const serial = await newToken('u4')
        await eventually('the serial in the directory', () => carries(world(), 'u4', serial))
      },
    },
    'first-login-email-token': {
      set: { ...smtp, realm: 'r1' },
      harmless: async () => {
        const login = other()
        await newToken(login)
        const before = await tokens()
        await strangers()
        await world().fail(login, 1)
        expect(await tokens()).toEqual(before)
      },
      use: async () => {
        await world().check({ user: 'u12', realm: 'r1', pass: '' })
        const found = (await world().pi.ask('GET', '/token/', { user: 'u12', realm: 'r1' })) as {
          tokens: { tokentype: string }[]
        }
        expect(found.tokens.map(({ tokentype }) => tokentype)).toEqual(['email'])
        expect((await one('u12@example.org')).text.trim()).toMatch(/^\d{6}$/)
      },
    },
    'last-login': {
      harmless: async () => {
        const login = other()
        const serial = await newToken(login)
        await world().fail(login, 1)
        await strangers()
        expect((await info(serial)).info).not.toHaveProperty('last_login')
      },
      use: async () => {
        const serial = await newToken('u5')
        await good('u5')
        expect((await info(serial)).info['last_login']).toMatch(/^\d{4}-\d\d-\d\d/)
      },
    },
    'lock-mail-help-desk': {
      set: { ...smtp, to: 'help@example.org' },
      harmless: async () => {
        const login = other()
        await strangers()
        await newToken(login)
        await world().fail(login, 1)
      },
      use: async () => {
        const serial = await newToken('u6')
        await world().fail('u6', isFrom312() ? 5 : 3)
        const mail = await one('help@example.org')
        expect(mail.subject).toBe('Token locked: u6')
        expect(mail.text).toContain(serial)
      },
    },
    'lock-mail-owner': {
      set: { ...smtp, helpDesk: 'the help desk, phone 4711' },
      harmless: async () => {
        const login = other()
        await strangers()
        await newToken(login)
        await world().fail(login, 1)
      },
      use: async () => {
        await newToken('u7')
        await world().fail('u7', isFrom312() ? 5 : 3)
        expect((await one('u7@example.org')).text).toContain('Please turn to the help desk, phone 4711')
      },
    },
    'lost-token': {
      before: async () => void (await world().lockstep.cli('shims', 'install', world().pi.scriptsDir)),
      harmless: async () => {
        const login = other()
        const serial = await newToken(login)
        await world().lockstep.shim('register', ['--user', login, '--realm', 'r1', '--serial', serial])
        await eventually('the serial in the directory', () => carries(world(), login, serial))
        await world().pi.ask('POST', '/token/disable', { serial })
        await world().pi.ask('POST', '/token/enable', { serial })
        expect((await eventsOf(login)).filter((kind) => kind === 'unregister')).toEqual([])
      },
      use: async () => {
        const serial = await newToken('u8')
        await world().lockstep.shim('register', ['--user', 'u8', '--realm', 'r1', '--serial', serial])
        await eventually('the serial in the directory', () => carries(world(), 'u8', serial))
        await world().pi.ask('POST', `/token/lost/${serial}`)
        await eventually('the serial gone', async () => !(await carries(world(), 'u8', serial)))
      },
    },
    'new-token-mail': {
      set: { ...smtp, types: 'totp' },
      harmless: async () => {
        await ownerless()
        await newToken(other())
      },
      use: async () => {
        const made = await initDetail(world())
        const mail = await one('u9@example.org')
        expect(mail.html).toContain('src="cid:token_image"')
        expect(await qrCodeOfMail(mail.raw)).toEqual({ contentId: '<token_image>', says: made.googleurl.value })
      },
    },
    'orphan-report': {
      set: { ...smtp, to: 'help@example.org' },
      harmless: async () => {
        const login = other()
        const login1 = other()
        await ownerless()
        await newToken(login)
        await newToken(login)
        const serial = await newToken(login1)
        await world().pi.ask('POST', '/token/reset', { serial })
        // From 3.12 on it is refused where the user has several tokens.
        await refusedOrDone(world().pi.ask('POST', '/token/reset', { user: login, realm: 'r1' }))
      },
      use: async () => {
        const serial = await newToken('u10')
        await world().slapd.ldapmodify(`dn: ${world().slapd.userDn('u10')}\nchangetype: delete\n`)
        await world().pi.ask('POST', '/token/disable', { serial })
        expect((await one('help@example.org')).subject).toBe(`Token without owner: ${serial}`)
      },
    },
    'pin-change-mail': {
      set: smtp,
      harmless: async () => {
        const login = other()
        await newToken(login)
        await ownerless()
      },
      use: async () => {
        const serial = await newToken('u11')
        await world().pi.ask('POST', '/token/setpin', { serial, otppin: 'new-pin-of-the-user' })
        const mail = await one('u11@example.org')
        expect(mail.subject).toBe(`The PIN of your token ${serial} was changed`)
        expect(mail.raw).not.toContain('new-pin-of-the-user')
      },
    },
    'privileged-token-notice': {
      set: { ...smtp, to: 'security@example.org', realm: 'r1' },
      harmless: ownerless,
      use: async () => {
        const serial = await newToken('u2')
        const mail = await one('security@example.org')
        expect(mail.subject).toBe(`New token for u2: ${serial}`)
        expect(mail.text).toContain('admin gave u2')
      },
    },
    'timed-failcount-reset': {
      set: { minutes: '10' },
      harmless: async () => {
        const login = other()
        const [locked, second] = [await newToken(login), await newToken(login)]
        for (let failed = 0; failed < 3; failed += 1) await world().check({ serial: locked, pass: `${PIN}000000` })
        lockedSince(world(), locked, Date.now() - 11 * 60_000)
        await world().check({ user: login, realm: 'r1', pass: 'wrong' })
        await strangers()
        expect((await info(locked)).failcount).toBe(3)
        expect((await info(second)).failcount).toBeLessThan(3)
      },
      use: async () => {
        const serial = await newToken('u5')
        for (let failed = 0; failed < 3; failed += 1) await world().check({ serial, pass: `${PIN}000000` })
        expect((await info(serial)).failcount).toBe(3)
        // Still within the time: it stays locked.
        expect(await world().check({ serial, pass: `${PIN}${hotp(0)}` })).toBe(false)
        lockedSince(world(), serial, Date.now() - 11 * 60_000)
        expect(await world().check({ serial, pass: `${PIN}${hotp(1)}` })).toBe(true)
        expect((await info(serial)).failcount).toBe(0)
      },
    },
    'token-assigned-mail': {
      set: smtp,
      harmless: async () => {
        const login = other()
        await newToken(login)
        await ownerless()
      },
      use: async () => {
        const serial = await newToken('u1')
        await world().pi.ask('POST', '/token/unassign', { serial })
        await world().pi.ask('POST', '/token/assign', { serial, user: 'u2', realm: 'r1' })
        expect((await one('u2@example.org')).subject).toBe(`The token ${serial} is yours now`)
      },
    },
  }
}

/** privacyIDEA may refuse it: what it fires is what counts. */
async function refusedOrDone(call: Promise<unknown>): Promise<void> {
  const [outcome] = await Promise.allSettled([call])
  if (outcome.status === 'rejected') expect(String(outcome.reason)).toMatch(/ [45]\d\d /)
}

/** Makes a token whose secret privacyIDEA draws itself, as its own interface does. */
async function initDetail({ pi }: SetUpWorld): Promise<{ googleurl: { value: string } }> {
  const login = (await asked(pi.url, 'POST', '/auth', { username: 'admin', password: 'secret' })) as { token: string }
  const response = await fetch(`${pi.url}/token/init`, {
    method: 'POST',
    headers: { authorization: login.token, 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'totp', genkey: 1, user: 'u9', realm: 'r1' }),
  })
  const { detail } = (await response.json()) as { detail: { googleurl: { value: string } } }
  return detail
}
