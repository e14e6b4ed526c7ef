import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { parseLogin, parseRealm, parseSerial } from '../../src/core/names.ts'
import type { SourceSettings } from '../../src/core/settings/settings.ts'
import { systemClock } from '../../src/ports/clock.ts'
import type { PrivacyIdeaPort } from '../../src/ports/privacyidea.ts'
import { openPrivacyIdea } from '../../src/privacyidea/open-privacyidea.ts'
import { codeOf } from '../directory/contract.ts'
import { makeTempDir } from '../servers/temp-dir.ts'
import { makeCertificates } from '../servers/test-certificates.ts'
import { startSimulator, type Simulator } from './simulator/simulator.ts'
import { sourceSettings } from './source-settings.ts'

/** What happens to privacyIDEA in the middle of the work, and that all is right afterwards. */

function open(simulator: Simulator, change: Partial<SourceSettings> = {}): PrivacyIdeaPort {
  const login = { kind: 'password', user: 'admin', realm: null, password: { env: 'X' } } as const
  return openPrivacyIdea(sourceSettings(simulator.url, { login, ...change }), () => 'secret', systemClock)
}

function withTokens(simulator: Simulator, count: number): void {
  const { stock } = simulator.world
  for (let number = 1; number <= count; number++) {
    const { userId } = stock.addUser(`u${number}`, `id-${number}`)
    stock.addToken(`S${number}`, { userId })
  }
}

const serials = ['S1', 'S2'].map(parseSerial).filter((each) => each !== null)
const owner = { login: parseLogin('u1'), realm: parseRealm('r1'), resolver: null, userId: null }

async function countOf(port: PrivacyIdeaPort): Promise<number> {
  let count = 0
  for await (const { tokens } of port.walkTokens()) count += tokens.length
  return count
}

test.each<[string, string, (simulator: Simulator) => unknown, (simulator: Simulator) => unknown]>([
  ['is stopped', 'source-unreachable', (each) => each.stop(), (each) => each.start()],
  ['hangs', 'source-timeout', (each) => (each.faults.isHung = true), (each) => (each.faults.isHung = false)],
  ['is too slow', 'source-timeout', (each) => (each.faults.slowMs = 2000), (each) => (each.faults.slowMs = 0)],
  [
    'answers HTML 500',
    'source-answer',
    (each) => (each.faults.htmlStatus = 500),
    (each) => (each.faults.htmlStatus = 0),
  ],
  [
    'answers HTML 503',
    'source-unreachable',
    (each) => (each.faults.htmlStatus = 503),
    (each) => (each.faults.htmlStatus = 0),
  ],
])('a server that %s gives %s, and works again afterwards', async (_, code, breakIt, mend) => {
  await using simulator = await startSimulator()
  withTokens(simulator, 20)
  await using port = open(simulator, { timeoutMs: 1000 })
  expect(await countOf(port)).toBe(20)
  await breakIt(simulator)
  expect(await codeOf(port.tokensBySerial(serials))).toBe(code)
  expect(await codeOf(port.tokensOfOwner(owner))).toBe(code)
  expect(await codeOf(countOf(port))).toBe(code)
  await mend(simulator)
  expect(await port.tokensBySerial(serials)).toHaveLength(2)
  expect(await countOf(port)).toBe(20)
})

test('a login that ends in the middle of a run over all tokens is renewed, and the run goes on', async () => {
  await using simulator = await startSimulator()
  withTokens(simulator, 100)
  await using port = open(simulator, { pageSize: 10 })
  let count = 0
  for await (const { tokens } of port.walkTokens()) {
    count += tokens.length
    simulator.world.endSessions()
  }
  expect(count).toBe(100)
})

test('a right that is taken away in the middle of a run over all tokens ends it without a conclusion', async () => {
  await using simulator = await startSimulator()
  withTokens(simulator, 100)
  await using port = open(simulator, { pageSize: 10 })
  const run = async (): Promise<void> => {
    for await (const _ of port.walkTokens()) {
      simulator.world.policies.set('x', { active: true, admins: ['admin'], actions: ['userlist'], body: {} })
    }
  }
  expect(await codeOf(run())).toBe('source-unproven')
})

describe('a user store that takes its time to fail', () => {
  test('ends a run over all tokens at the first owner, not after each of them', async () => {
    await using simulator = await startSimulator()
    withTokens(simulator, 1000)
    Object.assign(simulator.world, { isUserStoreUp: false, userStoreWaitMs: 100 })
    await using port = open(simulator, { timeoutMs: 30_000 })
    const beganMs = performance.now()
    expect(await codeOf(countOf(port))).toBe('source-resolver')
    expect(performance.now() - beganMs).toBeLessThan(10_000)
  })

  test('is a timeout where it takes longer than a request may', async () => {
    await using simulator = await startSimulator()
    withTokens(simulator, 10)
    Object.assign(simulator.world, { isUserStoreUp: false, userStoreWaitMs: 20_000 })
    await using port = open(simulator, { timeoutMs: 1000 })
    expect(await codeOf(countOf(port))).toBe('source-timeout')
    expect(await codeOf(port.tokensBySerial(serials))).toBe('source-timeout')
  })
})

test('a certificate that is renewed, with its authority, is taken without a restart', async () => {
  await using temp = await makeTempDir('pi-renew')
  const { caFile, certFile, keyFile } = await makeCertificates(temp.path)
  const tls = { key: await readFile(keyFile, 'utf8'), cert: await readFile(certFile, 'utf8') }
  await using simulator = await startSimulator({ tls })
  withTokens(simulator, 1)
  const good = await readFile(caFile, 'utf8')
  await using other = await makeTempDir('pi-other')
  await writeFile(caFile, await readFile((await makeCertificates(other.path)).caFile, 'utf8'))
  await using port = open(simulator, { caFile })
  expect(await codeOf(port.proveTokenList())).toBe('source-tls')
  await writeFile(caFile, good)
  await port.proveTokenList()
})

test('300,000 tokens are walked, and the fullest among them found', async () => {
  await using simulator = await startSimulator()
  withTokens(simulator, 300_000)
  simulator.world.stock.tokens.slice(1000, 1010).forEach((token) => (token.failcount = 10))
  await using port = open(simulator, { pageSize: 1000, timeoutMs: 60_000 })
  expect((await port.fullestTokens(10)).tokens).toHaveLength(10)
  expect(await countOf(port)).toBe(300_000)
}, 120_000)
