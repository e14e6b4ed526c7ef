import type { SourceSettings } from '../../src/core/settings/settings.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { openPrivacyIdea } from '../../src/privacyidea/open-privacyidea.ts'
import { asked, startPrivacyIdea } from '../servers/privacyidea/privacyidea.ts'
import { startSlapd } from '../servers/ldap/slapd.ts'
import type { PrivacyIdeaWorld } from './contract.ts'
import { startSimulator } from './simulator/simulator.ts'
import { sourceSettings } from './source-settings.ts'

type Release = PrivacyIdeaWorld['release']

const USERS = 80
const TIMEOUT_MS = 120_000

function opener(url: string): PrivacyIdeaWorld['open'] {
  return (admin: string, change: Partial<SourceSettings> = {}) => {
    const login = { kind: 'password', user: admin, realm: null, password: { env: 'X' } } as const
    const settings = sourceSettings(url, { login, timeoutMs: TIMEOUT_MS, ...change })
    return openPrivacyIdea(settings, () => `${admin}-secret`, systemClock)
  }
}

function asking(url: string): Pick<PrivacyIdeaWorld, 'check'> {
  return {
    check: async (params) => (await asked(url, 'POST', '/validate/check', params)) === true,
  }
}

/** A real privacyIDEA, with a real slapd as its user store. */
export async function realWorld(release: Release): Promise<PrivacyIdeaWorld> {
  await using stack = new AsyncDisposableStack()
  const slapd = stack.use(await startSlapd({ users: USERS, dbNoSync: true }))
  const pi = stack.use(await startPrivacyIdea({ release, userStore: slapd }))
  const open = opener(pi.url)
  const port = stack.use(open('lockstep'))
  let users = 0
  const owned = stack.move()
  return {
    release,
    port,
    open,
    ...asking(pi.url),
    ask: pi.ask,
    newLogin: async () => `u${++users}`,
    removeUser: async (login) => void (await slapd.ldapmodify(`dn: ${slapd.userDn(login)}\nchangetype: delete\n`)),
    renameUser: async (login, to) => {
      const change = `dn: ${slapd.userDn(login)}\nchangetype: modrdn\nnewrdn: uid=${to}\ndeleteoldrdn: 1\n`
      const { code, stderr } = await slapd.ldapmodify(change)
      if (code !== 0) throw new Error(stderr)
    },
    stopUserStore: () => slapd.stop(),
    startUserStore: () => slapd.start(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export async function simulatedWorld(release: Release): Promise<PrivacyIdeaWorld> {
  await using stack = new AsyncDisposableStack()
  const simulator = stack.use(await startSimulator({ version: release }))
  const { world, url } = simulator
  for (const name of ['lockstep', 'blind']) world.admins.set(name, `${name}-secret`)
  world.policies.set('admin', { active: true, admins: ['admin', 'lockstep'], actions: ['*'], body: {} })
  const open = opener(url)
  const port = stack.use(open('lockstep'))
  const login = asked(url, 'POST', '/auth', { username: 'admin', password: 'secret' })
  let users = 0
  const owned = stack.move()
  return {
    release,
    port,
    open,
    ...asking(url),
    ask: async (method, path, params) => asked(url, method, path, params, ((await login) as { token: string }).token),
    newLogin: async () => {
      const name = `u${++users}`
      world.stock.addUser(name, `5f1b${String(users).padStart(4, '0')}-0000-4000-8000-000000000000`)
      return name
    },
    removeUser: async (name) => world.stock.removeUser(name),
    renameUser: async (name, to) => world.stock.renameUser(name, to),
    stopUserStore: async () => void (world.isUserStoreUp = false),
    startUserStore: async () => void (world.isUserStoreUp = true),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
