import type { BreakerSettings } from '../../../src/core/guards/breaker.ts'
import { afterEach, describe, expect, test } from 'vitest'
import { MEMORY_LOCKED } from '../../support/memory-directory.ts'
import type { OtherLock } from '../../../src/core/account/state.ts'
import { directoryOf, type AccountKey } from '../../../src/core/names.ts'
import type { PrivacyIdeaPort } from '../../../src/ports/privacyidea.ts'
import { must } from '../../simulation/world.ts'
import { ApiWorld, idOf, MAX_FAILURES, serial, type ApiWorldOptions } from './api-world.ts'

const NOT_DRY = { isForAll: false, directories: [], realms: [] }
const ONE_A_MINUTE: BreakerSettings = {
  limits: [{ of: 'all', only: [], max: { locks: 1 }, perMs: 60_000 }],
  reset: 'auto',
  approvals: 1,
}

/** What somebody else's lock in the directory does in privacyIDEA, and what it never does. */

let worlds: ApiWorld[] = []
afterEach(async () => {
  for (const world of worlds) await world[Symbol.asyncDispose]()
  worlds = []
})

const FOREIGN = '20200101000000Z'
/** The account has ended, by an attribute of its own. */
const ENDED: OtherLock = { is: 'locked', cause: 'expired', attribute: 'pwdEndTime', untilUs: null }

type Mode = 'user-lock' | 'disable-tokens'

/** Alice with the tokens S1 and S2, and a third that an administrator has disabled. */
async function withAlice(mode: Mode, options: ApiWorldOptions = {}) {
  const world = await ApiWorld.open({
    version: mode === 'user-lock' ? '3.14' : '3.12',
    ...options,
    policy: { mirrorDirectoryLocks: mode, ...options.policy },
  })
  worlds.push(world)
  const alice = world.addUser('alice')
  const tokens = ['S1', 'S2'].map((text) => world.addToken(text, alice))
  const theirs = world.addToken('S3', alice, { active: false })
  await world.resync()
  return { world, alice, tokens, theirs }
}

async function look(world: ApiWorld, key: AccountKey): Promise<void> {
  world.clock.aheadMs += 31_000
  await world.store.queue.mark([key], world.clock.nowMs())
  await world.settle()
}

/** `in`, or `out` where privacyIDEA keeps him from all his tokens. */
function inPrivacyIdea(world: ApiWorld, mode: Mode, key: AccountKey): 'in' | 'out' {
  if (mode === 'user-lock') return world.simulator.world.lockouts.isOut(idOf(key)) ? 'out' : 'in'
  return world.stock.tokensOf(idOf(key)).some(({ active }) => active) ? 'in' : 'out'
}

async function recorded(world: ApiWorld, key: AccountKey): Promise<string[]> {
  return (await world.store.mirror.of(key)).map((each) => `${each.kind} ${each.state}`)
}

describe.each(['user-lock', 'disable-tokens'] as const)('by %s', (mode) => {
  test.each([
    ['a time stamp of somebody else', FOREIGN],
    ['a lock of our own form that is not ours', MEMORY_LOCKED],
  ])('%s keeps him out, until the directory releases him', async (_what, value) => {
    const { world, alice, theirs } = await withAlice(mode)
    const events = await world.derivedEvents()
    world.directory.setLock(alice, value)
    await look(world, alice)
    expect(inPrivacyIdea(world, mode, alice)).toBe('out')
    for (const again of [() => world.scan(), () => world.resync(), () => look(world, alice)]) await again()
    expect(inPrivacyIdea(world, mode, alice)).toBe('out')
    // No echo: what we did there is no hold, and no event.
    expect([await world.derivedEvents(), world.directory.account(alice).lockValues]).toEqual([events, [value]])
    world.directory.setLock(alice, null)
    await look(world, alice)
    expect([inPrivacyIdea(world, mode, alice), theirs.active]).toEqual(['in', false])
    expect(await recorded(world, alice)).toEqual([])
    for (const again of [() => world.scan(), () => world.resync()]) await again()
    expect([world.state(alice).split(' ')[0], await world.derivedEvents()]).toEqual(['open', events])
  })

  test('a full resync finds the lock of an account that nothing else is about', async () => {
    const { world, alice } = await withAlice(mode)
    world.directory.setLock(alice, FOREIGN)
    await world.scan()
    expect(inPrivacyIdea(world, mode, alice)).toBe('in')
    await world.resync()
    expect(inPrivacyIdea(world, mode, alice)).toBe('out')
  })

  test('somebody else’s lock beside ours keeps him out as well, is named, and stays when ours is removed', async () => {
    const { world, alice, tokens } = await withAlice(mode)
    must(tokens[0] ?? null).failcount = MAX_FAILURES
    await world.scan()
    expect([world.state(alice).split(' ')[0], inPrivacyIdea(world, mode, alice)]).toEqual(['locked', 'in'])
    world.directory.edit(alice, { otherLock: ENDED })
    await world.resync()
    expect(inPrivacyIdea(world, mode, alice)).toBe('out')
    const reported = async () => must((await world.store.reports.find(alice, 1))[0] ?? null)
    const otherLock = { is: 'locked', cause: 'expired', attribute: 'pwdEndTime', untilMs: null }
    expect(await reported()).toMatchObject({ lockedByUs: true, standing: 'foreign-lock', otherLock })
    must(tokens[0] ?? null).failcount = 0
    await world.scan()
    const after = await reported()
    expect(after).toMatchObject({ lockedByUs: false, standing: 'in-step', otherLock })
    expect(after.standingReason).toContain('pwdEndTime')
    expect([world.directory.account(alice).lockValues, inPrivacyIdea(world, mode, alice)]).toEqual([[], 'out'])
    world.directory.edit(alice, { otherLock: null })
    await look(world, alice)
    expect(await reported()).toMatchObject({ standing: 'in-step', standingReason: '', otherLock: null })
    expect(inPrivacyIdea(world, mode, alice)).toBe('in')
  })

  test('what cannot be judged is not mirrored, and is one finding of its directory until it can be', async () => {
    const { world, alice } = await withAlice(mode)
    world.directory.edit(alice, { otherLock: { ...ENDED, is: 'unknown', cause: 'too-many-failures' } })
    await world.resync()
    expect([inPrivacyIdea(world, mode, alice), await recorded(world, alice)]).toEqual(['in', []])
    const [finding, ...others] = await world.store.findings.open()
    expect(others).toEqual([])
    expect(finding).toMatchObject({ kind: 'other-locks-unclear', isAttention: true, params: { accounts: 1 } })
    const report = must((await world.store.reports.find(alice, 1))[0] ?? null)
    expect(report).toMatchObject({ standing: 'in-step', otherLock: { is: 'unknown' } })
    expect(report.standingReason).toContain('cannot be judged')
    world.directory.edit(alice, { otherLock: null })
    await look(world, alice)
    expect(await world.store.findings.open()).toEqual([])
  })

  test('our own lock is not mirrored', async () => {
    const { world, alice, tokens } = await withAlice(mode)
    must(tokens[0] ?? null).failcount = MAX_FAILURES
    await world.scan()
    expect(world.state(alice)).toMatch(/^locked/)
    for (const again of [() => world.resync(), () => look(world, alice)]) await again()
    expect([inPrivacyIdea(world, mode, alice), await recorded(world, alice)]).toEqual(['in', []])
  })

  test('when the directory’s lock goes while a token is full, ours takes its place and he is released there', async () => {
    const { world, alice, tokens } = await withAlice(mode)
    world.directory.setLock(alice, FOREIGN)
    await look(world, alice)
    must(tokens[0] ?? null).failcount = MAX_FAILURES
    await world.scan()
    world.directory.setLock(alice, null)
    await look(world, alice)
    expect([world.state(alice).split(' ')[0], inPrivacyIdea(world, mode, alice)]).toEqual(['locked', 'in'])
    must(tokens[0] ?? null).failcount = 0
    await world.scan()
    expect(world.state(alice)).toMatch(/^open/)
  })

  test('what somebody took back in privacyIDEA is left alone until the directory’s lock has gone', async () => {
    const { world, alice, tokens } = await withAlice(mode)
    world.directory.setLock(alice, FOREIGN)
    await look(world, alice)
    if (mode === 'user-lock') world.simulator.world.lockouts.release(idOf(alice))
    else for (const token of tokens) token.active = true
    await world.store.snapshots.markKeysForRefresh([alice])
    await look(world, alice)
    await look(world, alice)
    expect(inPrivacyIdea(world, mode, alice)).toBe('in')
    expect(new Set((await recorded(world, alice)).map((text) => text.split(' ')[1]))).toEqual(new Set(['left']))
    world.directory.setLock(alice, null)
    await look(world, alice)
    world.directory.setLock(alice, FOREIGN)
    await look(world, alice)
    expect(inPrivacyIdea(world, mode, alice)).toBe('out')
  })

  test.each(['before', 'after'] as const)('a crash %s each call to privacyIDEA is made good', async (when) => {
    const { world, alice, tokens } = await withAlice(mode)
    const dying = dyingSource(world.source, when)
    const mirror = must(world.ports.mirror ?? null)
    world.ports = { ...world.ports, mirror: { ...mirror, source: dying.source } }
    for (const [value, expected] of [
      [FOREIGN, 'out'],
      [null, 'in'],
    ] as const) {
      world.directory.setLock(alice, value)
      // Each step dies once, and is begun again by the next look.
      for (let count = 0; count < 8; count++) {
        dying.kill()
        await look(world, alice)
      }
      dying.spare()
      await look(world, alice)
      expect(inPrivacyIdea(world, mode, alice)).toBe(expected)
      await world.scan()
      expect(world.state(alice).split(' ')[0]).toBe(value === null ? 'open' : 'locked')
    }
    expect([await recorded(world, alice), tokens.map(({ active }) => active)]).toEqual([[], [true, true]])
    expect(dying.deaths).toBeGreaterThanOrEqual(2)
  })

  test('while privacyIDEA is away it is said, and made good afterwards', async () => {
    const { world, alice } = await withAlice(mode)
    await world.simulator.stop()
    world.directory.setLock(alice, FOREIGN)
    await look(world, alice)
    const [account] = await world.store.reports.accounts({ limit: 10 })
    expect(account).toMatchObject({
      standing: 'failed',
      standingCode: 'source-unreachable',
      standingReason: expect.stringContaining('privacyIDEA could not be notified of the lock in the directory'),
    })
    await world.simulator.start()
    await look(world, alice)
    expect(inPrivacyIdea(world, mode, alice)).toBe('out')
  })

  test('once it is switched off, what was mirrored is taken back', async () => {
    const { world, alice } = await withAlice(mode)
    world.directory.setLock(alice, FOREIGN)
    await look(world, alice)
    world.ports = { ...world.ports, mirror: { ...must(world.ports.mirror ?? null), mode: 'off' } }
    await look(world, alice)
    expect([inPrivacyIdea(world, mode, alice), await recorded(world, alice)]).toEqual(['in', []])
  })

  test('protected accounts, dry runs, pauses and the breaker hold it back', async () => {
    const { world, alice } = await withAlice(mode, {
      guards: { dryRun: NOT_DRY, breaker: ONE_A_MINUTE },
    })
    const bob = world.addUser('bob')
    world.addToken('B1', bob)
    await world.resync()
    world.directory.protect(alice, 'it matches guards.protect.filter')
    for (const key of [alice, bob]) world.directory.setLock(key, FOREIGN)
    await look(world, alice)
    expect(inPrivacyIdea(world, mode, alice)).toBe('in')
    await world.store.switches.pause(null, 'a person', 'maintenance')
    await look(world, bob)
    expect(inPrivacyIdea(world, mode, bob)).toBe('in')
    await world.store.switches.resume(null, 'a person')
    await look(world, bob)
    expect(inPrivacyIdea(world, mode, bob)).toBe('out')
    world.directory.protect(alice, null)
    await world.store.queue.mark([alice], world.clock.nowMs())
    await world.settle()
    expect(inPrivacyIdea(world, mode, alice)).toBe('in')
    const accounts = await world.store.reports.accounts({ limit: 10 })
    expect(accounts.map(({ standing: status }) => status).toSorted()).toEqual(['breaker', 'in-step'])
    world.clock.aheadMs += 61_000
    await look(world, alice)
    expect(inPrivacyIdea(world, mode, alice)).toBe('out')
  })

  test('the journal says what was done and why', async () => {
    const { world, alice } = await withAlice(mode)
    world.directory.setLock(alice, FOREIGN)
    await look(world, alice)
    world.directory.setLock(alice, null)
    await look(world, alice)
    const rows = await world.store.db.selectFrom('journal').select(['kind', 'body']).orderBy('seq').execute()
    const told = rows.filter(({ kind }) => kind === 'mirrored').map(({ body }) => JSON.parse(body) as { is: string })
    expect(told.map(({ is }) => is)).toEqual(mode === 'user-lock' ? ['set', 'gone'] : ['set', 'set', 'gone', 'gone'])
  })
})

test.each([
  [
    'the directory is retired',
    (world: ApiWorld, alice: AccountKey) => world.store.retirements.order(directoryOf(alice), 'anna'),
  ],
  ['the account is protected', (world: ApiWorld, alice: AccountKey) => world.directory.protect(alice, 'a rule')],
] as const)('the journal names why what was done in privacyIDEA is taken back: %s', async (why, release) => {
  const { world, alice } = await withAlice('disable-tokens')
  world.directory.setLock(alice, FOREIGN)
  await look(world, alice)
  await release(world, alice)
  await look(world, alice)
  const rows = await world.store.reports.journal({ subject: alice, limit: 100 })
  const bodies = rows
    .filter(({ kind }) => kind === 'mirrored')
    .map(({ body }) => JSON.parse(body) as { is: string; why: string })
  expect(new Set(bodies.filter(({ is }) => is === 'gone').map((body) => body.why))).toEqual(new Set([why]))
})

describe('lockouts of others', () => {
  test('a user whom privacyIDEA keeps out already is not kept out by us', async () => {
    const { world, alice } = await withAlice('user-lock')
    world.simulator.world.lockouts.set(idOf(alice), null, 'MANUAL')
    world.directory.setLock(alice, FOREIGN)
    await look(world, alice)
    expect(await recorded(world, alice)).toEqual([])
    world.directory.setLock(alice, null)
    await look(world, alice)
    expect(inPrivacyIdea(world, 'user-lock', alice)).toBe('out')
    await world.scan()
    expect(world.state(alice)).toMatch(/^locked/)
  })

  test('an administrator’s lockout in place of ours stays, and holds the account', async () => {
    const { world, alice } = await withAlice('user-lock')
    world.directory.setLock(alice, FOREIGN)
    await look(world, alice)
    world.simulator.world.lockouts.set(idOf(alice), 3600, 'MANUAL')
    await world.scan()
    world.directory.setLock(alice, null)
    await look(world, alice)
    expect([inPrivacyIdea(world, 'user-lock', alice), world.state(alice).split(' ')[0]]).toEqual(['out', 'locked'])
    expect(await recorded(world, alice)).toEqual([])
  })
})

describe('tokens of others', () => {
  test('a token that comes meanwhile is disabled too; one that goes to somebody else works again', async () => {
    const { world, alice, tokens } = await withAlice('disable-tokens')
    const bob = world.addUser('bob')
    world.directory.setLock(alice, FOREIGN)
    await look(world, alice)
    const added = world.addToken('S4', alice)
    world.assign(must(tokens[0] ?? null), bob)
    await world.hint([{ serial: serial('S4') }, { serial: serial('S1') }])
    expect([added.active, tokens.map(({ active }) => active)]).toEqual([false, [true, false]])
    expect([world.state(bob), world.state(alice)]).toEqual(['open S1', 'locked S2 S3 S4'])
  })

  test('a token that is revoked or deleted meanwhile is not touched', async () => {
    const { world, alice, tokens } = await withAlice('disable-tokens')
    world.directory.setLock(alice, FOREIGN)
    await look(world, alice)
    const [first, second] = [must(tokens[0] ?? null), must(tokens[1] ?? null)]
    first.revoked = true
    world.stock.removeToken(second)
    world.directory.setLock(alice, null)
    await look(world, alice)
    expect([first.active, first.revoked, await recorded(world, alice)]).toEqual([false, true, []])
  })

  test('where disabled tokens lock an account, those that we disabled do not', async () => {
    const { world, alice, theirs } = await withAlice('disable-tokens', { policy: { disabledTokens: 'lock' } })
    theirs.active = true
    await world.scan()
    await world.store.snapshots.markKeysForRefresh([alice])
    await world.settle()
    expect(world.state(alice)).toMatch(/^open/)
    world.directory.setLock(alice, FOREIGN)
    await look(world, alice)
    await world.scan()
    await world.resync()
    world.directory.setLock(alice, null)
    await look(world, alice)
    expect(world.state(alice)).toMatch(/^open/)
  })
})

/** A source whose process dies before or after a call that changes something. */
function dyingSource(source: PrivacyIdeaPort, when: 'before' | 'after') {
  let isDying = false
  let deaths = 0
  const dies = <Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>) => {
    return async (...args: Args): Promise<Result> => {
      if (!isDying) return work(...args)
      isDying = false
      deaths++
      if (when === 'after') await work(...args)
      throw new Error('the process is dead')
    }
  }
  return {
    kill: () => void (isDying = true),
    spare: () => void (isDying = false),
    get deaths() {
      return deaths
    },
    source: {
      ...source,
      setUserLockout: dies(source.setUserLockout),
      releaseUserLockout: dies(source.releaseUserLockout),
      disableToken: dies(source.disableToken),
      enableToken: dies(source.enableToken),
    } satisfies PrivacyIdeaPort,
  }
}
