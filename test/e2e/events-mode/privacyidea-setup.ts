import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { asked } from '../../servers/privacyidea/privacyidea.ts'
import { look, serialsOf } from '../../support/account-view.ts'
import { HOOK_SECRET, type Ran } from '../../support/lockstep.ts'
import type { SetUpWorld } from '../../support/privacyidea-world.ts'

interface Handler {
  readonly id: number
  readonly name: string
  readonly active: boolean
  readonly options: Readonly<Record<string, string>>
}

interface Told {
  readonly made: boolean
  readonly changes: number
  readonly handlers: readonly { change: string; name: string; differences: readonly object[] }[]
}

const OURS = ['lock', 'register', 'unlock', 'unlock after success', 'unregister'].map((name) => `lockstep: ${name}`)
/** Each attempt with a PIN costs privacyIDEA half a second of computing. */
const SLOW_MS = 180_000
const LOCKSTEP = fileURLToPath(new URL('../../../bin/lockstep', import.meta.url))
const FOREIGN = {
  name: 'lockstep-lock by hand',
  event: 'token_enable',
  handlermodule: 'Script',
  action: 'lockstep-lock',
  position: 'post',
  active: false,
  conditions: {},
  'option.background': 'background',
}

/** Runs a command line at a terminal of its own (util-linux), and answers its question. @returns what it showed */
async function answerAtTerminal(line: string, question: string, answer: string): Promise<string> {
  const child = spawn('script', ['-qec', line, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
  let said = ''
  let isAnswered = false
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (isAnswered || !said.includes(question)) return
    isAnswered = true
    child.stdin.write(`${answer}\n`)
  })
  await once(child, 'close')
  return said
}

/** In this order: each test finds what the one before left. */
export function setupTests(world: () => SetUpWorld): void {
  const handlers = async (): Promise<Handler[]> => (await world().pi.ask('GET', '/event/')) as Handler[]
  const names = async (): Promise<string[]> => (await handlers()).map((each) => each.name).toSorted()
  const script = (...args: string[]): Promise<Ran> =>
    world().setup('--yes', '--scripts-dir', world().pi.scriptsDir, ...args)
  const open = (login: string, isOpen: boolean): Promise<unknown> =>
    eventually(`${login} can bind: ${isOpen}`, async () => (await look(world().slapd, login)).canBind === isOpen)

  /** A token from its first day to its last, by what privacyIDEA itself does. */
  async function live(serial: string, login: string): Promise<void> {
    const { slapd, pi, newToken, fail } = world()
    await newToken(serial, login)
    await eventually('the serial is there', async () => serialsOf(await look(slapd, login)).includes(serial))
    await fail(login, 3)
    await open(login, false)
    await pi.ask('POST', '/token/reset', { serial })
    await open(login, true)
    await pi.ask('POST', '/token/unassign', { serial })
    await eventually('the serial is gone', async () => !serialsOf(await look(slapd, login)).includes(serial))
  }

  describe('setting up', () => {
    test('without the shims in the script directory nothing is bound, and it says what to do', async () => {
      const ran = await world().setup('--yes')
      expect(ran).toMatchObject({ code: 64, stderr: expect.stringContaining('--scripts-dir') })
      expect(await names()).toEqual([])
    })

    test('a look first changes nothing, and without --yes and a terminal nothing is changed either', async () => {
      const dry = await world().setup('--dry-run', '--json')
      expect(dry.json<Told>()).toMatchObject({ made: false, changes: 5 })
      const refused = await world().setup('--scripts-dir', world().pi.scriptsDir)
      expect(refused).toMatchObject({ code: 64, stderr: expect.stringContaining('--yes') })
      expect(await names()).toEqual([])
    })

    test('at a terminal it asks, and no means no', async () => {
      const { lockstep, pi } = world()
      const flags = `--url ${pi.url} --user admin --password-file ${join(lockstep.dir, 'admin-password')} --via webhook`
      const line = `${LOCKSTEP} --config ${lockstep.configFile} privacyidea setup ${flags}`
      const said = await answerAtTerminal(line, 'yes or no', 'no')
      expect(said).toContain('+ lockstep: lock: validate_check, if token_locked=True → webhook')
      expect(said).toContain('nothing was changed')
      expect(await names()).toEqual([])
    })

    test('installs the shims, binds them, and a token lives its life through them', { timeout: SLOW_MS }, async () => {
      const ran = await script()
      expect(ran, ran.stderr).toMatchObject({ code: 0 })
      expect(await names()).toEqual(OURS)
      await live('SHIM1', 'u1')
    })

    test('a second time changes nothing', async () => {
      const before = await handlers()
      expect((await script('--json')).json<Told>()).toMatchObject({ changes: 0 })
      expect(await handlers()).toEqual(before)
    })

    test('what was changed by hand is shown and mended; what others made stays as it is', async () => {
      const { pi, setup } = world()
      await pi.ask('POST', '/event', FOREIGN)
      const before = await handlers()
      const lock = before.find((each) => each.name === 'lockstep: lock')
      const changed = {
        event: 'auth',
        handlermodule: 'Script',
        action: 'lockstep-lock',
        position: 'pre',
        active: false,
      }
      await pi.ask('POST', '/event', {
        id: lock?.id,
        name: lock?.name,
        ...changed,
        conditions: {},
        'option.serial': '1',
      })
      await pi.ask('POST', '/event', {
        name: 'lockstep: unlock',
        ...changed,
        conditions: {},
        'option.background': 'wait',
      })
      const shown = (await setup('--dry-run')).stdout
      for (const text of ['position: pre → post', 'active: no → yes', 'token_locked: not set → True', 'a second one']) {
        expect(shown).toContain(text)
      }
      const mended = await script('--json')
      expect(mended.json<Told>(), mended.stderr).toMatchObject({ made: true, changes: 2 })
      expect((await script('--json')).json<Told>()).toMatchObject({ changes: 0 })
      expect(await names()).toEqual([...OURS, FOREIGN.name].toSorted())
      const foreign = (all: readonly Handler[]): unknown => all.find((each) => each.name === FOREIGN.name)
      expect(foreign(await handlers())).toEqual(foreign(before))
    })

    test('by webhook a token lives the same life, and the secret is in no output', { timeout: SLOW_MS }, async () => {
      const dry = await world().setup('--via', 'webhook', '--dry-run')
      const ran = await world().setup('--via', 'webhook', '--yes')
      const json = await world().setup('--via', 'webhook', '--yes', '--json')
      expect(ran, ran.stderr).toMatchObject({ code: 0 })
      expect(json.json<Told>()).toMatchObject({ changes: 0 })
      expect([dry, ran, json].map((each) => each.stdout + each.stderr).join()).not.toContain(HOOK_SECRET)
      expect(dry.stdout).toContain('/hooks/privacyidea/…/lock')
      await live('HOOK1', 'u2')
    })

    test('a wrong password changes nothing and shows none', async () => {
      const file = join(world().lockstep.dir, 'wrong')
      writeFileSync(file, 'not-the-password', { mode: 0o600 })
      const ran = await world().setup('--remove', '--yes', '--password-file', file)
      expect(ran).toMatchObject({ code: 77, stderr: expect.stringContaining('refused') })
      expect(ran.stderr).not.toContain('not-the-password')
      expect(await names()).toContain('lockstep: lock')
    })

    test('removing takes exactly ours away', async () => {
      const ran = await world().setup('--remove', '--yes', '--json')
      expect(ran.json<Told>(), ran.stderr).toMatchObject({ made: true, changes: 5 })
      expect(await names()).toEqual([FOREIGN.name])
      expect((await world().setup('--remove', '--yes', '--json')).json<Told>()).toMatchObject({
        made: false,
        changes: 0,
      })
    })
  })
}

/** What is left is a server without any admin policy: these come last. */
export function policyTests(world: () => SetUpWorld): void {
  const names = async (): Promise<string[]> =>
    ((await world().pi.ask('GET', '/event/')) as Handler[]).map((each) => each.name)
  const script = (...args: string[]): Promise<Ran> =>
    world().setup('--yes', '--scripts-dir', world().pi.scriptsDir, ...args)

  describe('admin policies', () => {
    const policies = async (): Promise<string[]> =>
      ((await world().pi.ask('GET', '/policy/', { scope: 'admin' })) as { name: string }[]).map((each) => each.name)
    const rights = (release: string): string[] =>
      [
        'auditlog',
        'reset',
        'tokenlist',
        'userlist',
        ...(release === '3.14' ? ['authentication_log_read', 'user_lock_read'] : []),
      ].toSorted()

    test('the running service gets what it needs and no more', async () => {
      const ran = await script('--policies', '--account', 'blind')
      expect(ran, ran.stderr).toMatchObject({ code: 0 })
      expect(await world().rightsOf('blind', 'blind-secret')).toEqual(rights(world().release))
      expect((await script('--policies', '--account', 'blind', '--json')).json<Told>()).toMatchObject({ changes: 0 })
      const without = await script('--policies', '--no-reset', '--account', 'blind')
      expect(without, without.stderr).toMatchObject({ code: 0 })
      const left = rights(world().release).filter((right) => right !== 'reset')
      expect(await world().rightsOf('blind', 'blind-secret')).toEqual(left)
    })

    test(
      'the first admin policy of a server is refused, since it would lock the other administrators out',
      { timeout: SLOW_MS },
      async () => {
        const { pi, setup, rightsOf } = world()
        await setup('--remove', '--policies', '--yes')
        const others = await names()
        expect(await policies()).toEqual(['admin'])
        await pi.ask('DELETE', '/policy/admin')
        const refused = await script('--policies', '--account', 'blind')
        expect(refused).toMatchObject({ code: 64, stderr: expect.stringContaining('--keep-admins') })
        expect(await policies()).toEqual([])
        const itself = await script('--policies', '--keep-admins', '--account', 'admin')
        expect(itself).toMatchObject({ code: 64, stderr: expect.stringContaining('accounts of its own') })
        expect(await names()).toEqual(others)

        const ran = await script('--policies', '--keep-admins', '--account', 'blind')
        expect(ran, ran.stderr).toMatchObject({ code: 0 })
        expect(await rightsOf('admin', 'secret')).toEqual(['*'])
        expect(await rightsOf('lockstep', 'lockstep-secret')).toEqual(['*'])
        expect(await rightsOf('blind', 'blind-secret')).toEqual(rights(world().release))
        await expect(policyWriteAs('blind', 'blind-secret')).rejects.toThrow('403')
        expect((await script('--policies', '--account', 'blind', '--json')).json<Told>()).toMatchObject({ changes: 0 })

        await setup('--remove', '--policies', '--yes')
        expect(await policies()).toEqual([])
        expect(await names()).toEqual(others)
      },
    )

    async function policyWriteAs(username: string, password: string): Promise<unknown> {
      const { pi } = world()
      const { token } = (await asked(pi.url, 'POST', '/auth', { username, password })) as { token: string }
      return asked(pi.url, 'POST', '/policy/x', { scope: 'admin', realm: '', action: '*', adminuser: username }, token)
    }
  })
}
