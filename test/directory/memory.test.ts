import { describe, expect, it } from 'vitest'
import { MemoryDirectory } from '../support/memory-directory.ts'
import { systemClock } from '../../src/ports/clock.ts'
import {
  changeFor,
  codeOf,
  directoryContract,
  heldBy,
  loginOf,
  LOCKED,
  PPOLICY_LOCK,
  PPOLICY_STAMP,
  serialOf,
  type World,
} from './contract.ts'
import { nameOfDirectory } from './directory-settings.ts'

const NAME = nameOfDirectory('corp')

function memoryWorld(): World {
  const port = new MemoryDirectory({ name: NAME }, systemClock)
  let users = 0
  const keyOf = (login: string) => {
    const account = port.accounts().find((each) => each.login === login)
    if (account === undefined) throw new Error(`no ${login}`)
    return account.key
  }
  return {
    port,
    lock: PPOLICY_LOCK,
    newLogin: async () => {
      const login = loginOf(`u${++users}`)
      port.addAccount(login)
      return login
    },
    serialValues: async (login) => port.account(keyOf(login)).serialValues.map(String).toSorted(),
    lockValues: async (login) => port.account(keyOf(login)).lockValues.map(String),
    addSerialValue: async (login, value) => port.addSerialValue(keyOf(login), value),
    setLock: async (login, value) => port.setLock(keyOf(login), value),
    lockOtherwise: async (login) => port.setLock(keyOf(login), PPOLICY_STAMP),
    rdn: (login) => `uid=${login}`,
    rename: async (login, to) => port.renameAccount(keyOf(login), to),
    remove: async (login) => port.deleteAccount(keyOf(login)),
  }
}

describe('the directory in memory', () => {
  const world = memoryWorld()
  directoryContract(() => world)

  const setUp = async () => {
    const port = new MemoryDirectory({ name: NAME }, systemClock)
    const key = port.addAccount(loginOf('ada'))
    const change = changeFor(heldBy(serialOf('T1')), await port.observe(key, [], 0))
    return { port, key, change }
  }

  it('fails reads and writes while it is down, and writes nothing', async () => {
    const { port, key, change } = await setUp()
    port.faults.isDown = true
    expect(await codeOf(port.observe(key, [], 0))).toBe('directory-unreachable')
    expect(await codeOf(port.findByLogin(loginOf('ada'), null))).toBe('directory-unreachable')
    expect(await codeOf(port.apply(change))).toBe('directory-unreachable')
    expect(port.account(key).lockValues).toEqual([])
  })

  it('loses the answer to a write that happened, and to one that did not', async () => {
    const { port, key, change } = await setUp()
    port.faults.lostAnswers.push('not-written', 'written')
    expect(await codeOf(port.apply(change))).toBe('outcome-unknown')
    expect(port.account(key).lockValues).toEqual([])
    expect(await codeOf(port.apply(change))).toBe('outcome-unknown')
    expect(port.account(key).lockValues).toEqual([LOCKED])
  })

  it('says ambiguous-match for a login that two accounts have', async () => {
    const { port } = await setUp()
    port.addAccount(loginOf('ada'))
    expect(await codeOf(port.findByLogin(loginOf('ada'), null))).toBe('ambiguous-match')
  })
})
