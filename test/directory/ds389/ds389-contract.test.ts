import { afterAll, beforeAll, describe } from 'vitest'
import { openDirectories } from '../../../src/directory/open-directories.ts'
import { systemClock } from '../../../src/ports/clock.ts'
import { startDs389, type Ds389 } from '../../servers/ldap/ds389.ts'
import { directoryContract, type World } from '../contract.ts'
import { addDisabledRole, ds389Settings, ds389World } from './ds389-world.ts'

const START_TIMEOUT_MS = 300_000

describe.each(['plain', 'freeipa'] as const)('389-DS over TLS, layout %s', (layout) => {
  let ds: Ds389
  let world: World
  beforeAll(async () => {
    ds = await startDs389({ layout })
    await addDisabledRole(ds)
    world = ds389World(ds, openDirectories({ directories: [ds389Settings(ds)], realms: {} }, systemClock))
  }, START_TIMEOUT_MS)
  afterAll(async () => {
    await world?.port[Symbol.asyncDispose]()
    await ds?.[Symbol.asyncDispose]()
  })
  directoryContract(() => world)
})
