import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { INSTALL_TIMEOUT_MS } from '../../servers/privacyidea/privacyidea.ts'
import { createApiLockstep, serveSwept, startApiServers, type ApiServers } from '../../support/api-servers.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { isChosen, releaseOfRun } from '../../support/privacyidea-world.ts'

/** Tokens that vanish by the dozen from a real privacyIDEA, and no event handler that says why. */

const USERS = 8
/** Ten per cent of eight tokens are less than one: five may go. */
const ALLOWED = 5

interface Listed {
  readonly waiting: number
  readonly reviews: { readonly kind: string; readonly login: string; readonly serial: string; readonly state: string }[]
}

interface Status {
  readonly health: string
  readonly findings: { readonly code: string }[]
  readonly review: { readonly losses: { readonly waiting: number } }
}

interface Loss {
  readonly how: string
  /** Makes everybody's tokens vanish. */
  lose(servers: ApiServers, serials: readonly string[]): Promise<void>
  /** Brings them back. */
  readonly restore: ((servers: ApiServers) => Promise<void>) | null
}

const UNASSIGNED: Loss = {
  how: 'a janitor unassigns everybody',
  lose: async ({ pi }, serials) => {
    for (const serial of serials) await pi.ask('POST', '/token/unassign', { serial })
  },
  restore: null,
}

/** 3.12 and later refuse to delete a realm whose users have tokens; 3.11 does it, and lists their tokens no more. */
const REALM_DELETED: Loss = {
  how: 'the realm is deleted',
  lose: async ({ pi }) => {
    const policy = { scope: 'admin', active: true, adminuser: 'admin', action: 'resolverdelete', realm: '' }
    await pi.ask('POST', '/policy/realms', policy)
    copyFileSync(join(pi.dir, 'pi.db'), join(pi.dir, 'pi.backup'))
    await pi.ask('DELETE', '/realm/r1')
  },
  // A realm of the same name does not bring them back: its administrators need their backup.
  restore: async ({ pi }) => {
    await pi.stop()
    copyFileSync(join(pi.dir, 'pi.backup'), join(pi.dir, 'pi.db'))
    await pi.start()
  },
}

const release = releaseOfRun()
const { how, lose, restore } = release === '3.11' ? REALM_DELETED : UNASSIGNED

describe.skipIf(!isChosen(release))(`privacyIDEA ${release}: ${how}, and nothing says why`, () => {
  let servers: ApiServers
  let lockstep: Lockstep
  const people: string[] = []
  const serialOf = (user: string): string => `T${user.slice(1)}`

  beforeAll(async () => {
    servers = await startApiServers(release)
    lockstep = await createApiLockstep(servers)
    for (let count = 0; count < USERS; count++) people.push(servers.newUser())
    for (const user of people) await servers.newToken(serialOf(user), user)
    // Where no token shows at all, nothing is believed; a token of nobody's is always there.
    await servers.pi.ask('POST', '/token/init', { type: 'hotp', serial: 'FREE', genkey: 1 })
    await serveSwept(lockstep)
    for (const user of people) await servers.fail({ user, realm: 'r1' })
    for (const user of people) {
      await servers.becomes(user, 'locked')
      await servers.carries(user, serialOf(user))
    }
  }, INSTALL_TIMEOUT_MS)
  afterAll(async () => {
    await lockstep?.[Symbol.asyncDispose]()
    await servers?.[Symbol.asyncDispose]()
  })

  const states = async (): Promise<string[]> => Promise.all(people.map((user) => servers.state(user)))
  const touched = async (): Promise<number> => {
    const now = await states()
    return people.filter((user, at) => now[at] !== `locked ${serialOf(user)}`).length
  }
  const waiting = async (): Promise<Listed['reviews']> =>
    (await lockstep.json<Listed>('review', '--kind', 'loss')).reviews

  test('five go at most; the others stay locked with their serial, through restarts and full resyncs', async () => {
    await lose(servers, people.map(serialOf))
    await eventually('the losses wait', async () => (await waiting()).length === USERS - ALLOWED)
    await lockstep.settled()
    expect(await touched()).toBe(ALLOWED)
    const status = await lockstep.json<Status>('status')
    expect(status).toMatchObject({ health: 'attention', review: { losses: { waiting: USERS - ALLOWED } } })
    expect(status.findings.map(({ code }) => code)).toContain('losses-held-back')
    const [first] = await waiting()
    const shown = await lockstep.cli('show', first?.login ?? '')
    expect(shown.stdout).toContain(`loss      ${first?.serial}`)
    await lockstep.restart()
    await lockstep.cli('resync')
    await lockstep.settled()
    expect(await touched()).toBe(ALLOWED)
  })

  test.skipIf(restore === null)(
    'when they are listed again the review is empty, and everybody is as before',
    async () => {
      await restore?.(servers)
      await lockstep.cli('resync')
      await eventually('nothing waits', async () => (await waiting()).length === 0)
      for (const user of people) await servers.carries(user, serialOf(user))
      for (const user of people) await servers.becomes(user, 'locked')
      expect((await lockstep.json<Status>('status')).findings.map(({ code }) => code)).not.toContain('losses-held-back')
      await lose(servers, people.map(serialOf))
      await eventually('the losses wait again', async () => (await waiting()).length > 0)
    },
  )

  test('a person approves it, and everybody comes in', async () => {
    const left = (await waiting()).length
    const ran = await lockstep.json<object>('review', 'approve', '--all', '--reason', 'they have all left')
    expect(ran).toMatchObject({ pending: 0, losses: { approved: left } })
    for (const user of people) await servers.becomes(user, 'open')
    for (const user of people) await servers.carries(user)
    expect(await lockstep.json<Status>('status')).toMatchObject({ findings: [], review: { losses: { waiting: 0 } } })
  })
})
