import { afterAll, beforeAll, describe, it, expect } from 'vitest'
import { openDirectories } from '../../src/directory/open-directories.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { startSlapd, type Slapd } from '../servers/ldap/slapd.ts'
import { changeFor, directoryContract, heldBy, loginOf, serialOf, type World } from './contract.ts'
import { directorySettings } from './directory-settings.ts'
import { slapdWorld } from './slapd-world.ts'

describe('OpenLDAP', () => {
  let slapd: Slapd
  let world: World
  beforeAll(async () => {
    slapd = await startSlapd({ users: 80, dbNoSync: true })
    const port = openDirectories({ directories: [directorySettings(slapd)], realms: {} }, systemClock)
    world = slapdWorld(slapd, port)
  })
  afterAll(async () => {
    await world?.port[Symbol.asyncDispose]()
    await slapd?.[Symbol.asyncDispose]()
  })
  directoryContract(() => world)

  it('keeps a locked user out and lets him in again, as ldapwhoami tells', async () => {
    const login = await world.newLogin()
    const before = await slapd.ldapsearch('-b', slapd.userDn(login), '-s', 'base', '*', 'pwdAccountLockedTime')
    const canBind = () => slapd.ldapwhoami(slapd.userDn(login), slapd.userPassword)
    expect(await canBind()).toBe(true)
    const found = await world.port.findByLogin(loginOf(login), null)
    const change = changeFor(heldBy(serialOf('T1')), await world.port.observe(found.key, [], 1000))
    await world.port.apply(change)
    expect(await canBind()).toBe(false)
    const ours = { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
    const empty = { serials: [], gone: [], movedFrom: {}, holds: [], nextExpiryUs: null, heldAtUs: 0, heldKnownUs: 0 }
    await world.port.apply(changeFor(empty, await world.port.observe(found.key, [], 1000), ours))
    expect(await canBind()).toBe(true)
    expect(await slapd.ldapsearch('-b', slapd.userDn(login), '-s', 'base', '*', 'pwdAccountLockedTime')).toBe(before)
  })
})
