import { describe, expect, it } from 'vitest'
import { codeOf, codesOf } from '../directory/contract.ts'
import { parseSerial } from '../../src/core/names.ts'
import { must } from '../simulation/world.ts'
import { actionsOf, type PrivacyIdeaWorld } from './contract.ts'

/** What Lockstep does in privacyIDEA where somebody else's lock in the directory is to reach it. */
export function switchContract(world: () => PrivacyIdeaWorld): void {
  describe('tokens that are switched off and on', () => {
    it('are disabled and enabled once, and say when there was nothing to do', async () => {
      const { newToken, token } = actionsOf(world())
      const serial = await newToken(await world().newLogin())
      const { port } = world()
      expect([await port.disableToken(serial), await port.disableToken(serial)]).toEqual([true, false])
      expect(await token(serial)).toMatchObject({ isActive: false, isRevoked: false })
      expect([await port.enableToken(serial), await port.enableToken(serial)]).toEqual([true, false])
      expect(await token(serial)).toMatchObject({ isActive: true })
    })

    it('stay off once they are revoked, and are named where they are not there', async () => {
      const { newToken, token } = actionsOf(world())
      const serial = await newToken(await world().newLogin())
      await world().ask('POST', '/token/revoke', { serial })
      expect(await world().port.enableToken(serial)).toBe(false)
      expect(await token(serial)).toMatchObject({ isActive: false, isRevoked: true })
      const nowhere = must(parseSerial('NEVER-THERE'))
      expect(await codeOf(world().port.enableToken(nowhere))).toBe('unknown-serial')
      expect(await codeOf(world().port.disableToken(nowhere))).toBe('unknown-serial')
    })
  })

  it('says after how long a full counter is cleared, and since when it is full', async () => {
    const { newToken, token, fail } = actionsOf(world())
    const { port } = world()
    const setTo = (minutes: number) => world().ask('POST', '/system/setConfig', { failcounter_clear_timeout: minutes })
    expect(await port.failCounterClearTimeoutMs()).toBeNull()
    await setTo(10)
    expect(await port.failCounterClearTimeoutMs()).toBe(600_000)
    const serial = await newToken(await world().newLogin(), 1)
    expect(await token(serial)).toMatchObject({ isFull: false, fullSinceMs: null })
    await fail({ serial, pass: '1234000000' }, 1)
    const { isFull, fullSinceMs } = await token(serial)
    expect(isFull).toBe(true)
    // To the minute, and while other tests run beside a call may take long.
    expect(Math.abs(Date.now() - (fullSinceMs ?? 0))).toBeLessThan(300_000)
    await setTo(0)
    expect(await port.failCounterClearTimeoutMs()).toBeNull()
  })

  it('a policy can keep the settings from an account, from 3.13 on', async () => {
    await world().ask('POST', '/policy/blind', {
      ...{ scope: 'admin', active: true, realm: '', adminuser: 'blind', action: 'tokenlist' },
    })
    await using blind = world().open('blind')
    const isFree = world().release === '3.11' || world().release === '3.12'
    const [code] = await codesOf([blind.failCounterClearTimeoutMs()])
    expect(code).toBe(isFree ? 'done' : 'source-not-permitted')
  })

  it('a lockout is read with its length, by its user alone', async () => {
    const { port } = world()
    const user = await actionsOf(world()).userOf(await world().newLogin())
    if (world().release !== '3.14') {
      const [code] = await codesOf([port.setUserLockout(user, 600)])
      return expect(code).toBe('source-answer')
    }
    expect(await port.userLockout(user)).toBeNull()
    const durationS = 315_361_234
    await port.setUserLockout(user, durationS)
    const found = must(await port.userLockout(user))
    expect(found).toMatchObject({ user, cause: 'manual' })
    expect(Math.abs((found.durationS ?? 0) - durationS)).toBeLessThanOrEqual(1)
    expect(await port.releaseUserLockout(user)).toBe(true)
    expect(await port.userLockout(user)).toBeNull()
    await port.setUserLockout(user, null)
    expect(await port.userLockout(user)).toMatchObject({ durationS: null, untilMs: null })
    await port.releaseUserLockout(user)
  })
}
