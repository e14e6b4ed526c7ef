import { afterAll, beforeAll, describe } from 'vitest'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { SAMBA_TIMEOUT_MS, startSamba, type Samba } from '../../servers/ldap/samba.ts'
import { directoryContract, type World } from '../contract.ts'
import { sambaSettings, sambaWorld } from './samba-world.ts'

describe('Active Directory, with the rights of the manual alone', () => {
  let samba: Samba
  let world: World
  beforeAll(async () => {
    samba = await startSamba()
    const port = openDirectories({ directories: [sambaSettings(samba)], realms: {} }, systemClock)
    world = sambaWorld(samba, port)
  }, SAMBA_TIMEOUT_MS)
  afterAll(async () => {
    await world?.port[Symbol.asyncDispose]()
    await samba?.[Symbol.asyncDispose]()
  })
  directoryContract(() => world)
})
