import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { jwtFor, startScripted } from '../../privacyidea/scripted-server.ts'
import { eventually } from '../../servers/eventually.ts'
import { freePort } from '../../servers/free-port.ts'
import { lead, startScriptedLdap } from '../../servers/ldap/scripted-ldap.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { createLockstep, HOOK_SECRET, startLockstep, type Lockstep } from '../../support/lockstep.ts'

/**
 * The daemon's memory at its peak, while each of those that it talks to sends as much as it can. The unit gives it 768 MiB;
 * it takes some 110 MiB with nothing to do.
 */

const PEAK_KIB_MAX = 420 * 1024
const MIB = 1024 * 1024

function peakKib({ pid }: Lockstep): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1])
}

/** Arrays within arrays, of so many bytes; and objects of which each has another shape. */
const nested = (bytes: number): string => `${'['.repeat(bytes / 2)}${']'.repeat(bytes / 2)}`
function shapes(bytes: number): string {
  const parts: string[] = []
  for (let length = 0, count = 0; length < bytes; count++) {
    const part = `{"k${count}":{}}`
    parts.push(part)
    length += part.length + 1
  }
  return `[${parts.join(',')}]`
}

const SCAN = 'resync: { scan: 1s, full: 1m }\n'

test.each([
  ['arrays within arrays', nested(31 * MIB)],
  ['objects of ever another shape', shapes(15 * MIB)],
])('an answer of privacyIDEA of %s takes no memory, and the log names it', async (_name, value) => {
  const body = `{"result":{"status":true,"value":${value}},"versionnumber":"3.14"}`
  await using source = await startScripted((request, response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const login = { token: jwtFor('lockstep', 3600), role: 'admin', username: 'lockstep', realm: '', rights: [] }
    const granted = { result: { status: true, value: login }, versionnumber: '3.14' }
    response.end(request.path === '/auth' ? JSON.stringify(granted) : body)
  })
  await using slapd = await startSlapd({ users: 2, dbNoSync: true })
  await using lockstep = await createLockstep(slapd)
  const secret = join(lockstep.dir, 'ldap-password')
  const section = `privacyidea: { url: '${source.url}', user: lockstep, passwordFile: ${secret}, timeout: 20s }\n${SCAN}`
  lockstep.editConfig((yaml) => yaml + section)
  await lockstep.serve()
  await eventually('the answer was refused', () => /source-answer/.test(lockstep.log()))
  await eventually('it was asked again', () => source.received.length >= 6, 60_000)
  expect(lockstep.log()).toMatch(/the answer (?:takes too much memory|is larger than)/)
  expect(peakKib(lockstep)).toBeLessThan(PEAK_KIB_MAX)
})

test('a directory server that claims a message of 2 GB, and sends it, takes no memory, and the log names it', async () => {
  const chunk = Buffer.alloc(MIB, 0x30)
  let sent = 0
  await using server = await startScriptedLdap('cn=lockstep,dc=example,dc=org', (socket, { id }) => {
    socket.write(Buffer.concat([lead(0x30, 2 ** 31 - 1), Buffer.from([2, 4, 0, 0, 0, id])]))
    const more = (): void => {
      if (socket.destroyed || sent > 1500) return
      sent++
      if (socket.write(chunk)) setImmediate(more)
      else socket.once('drain', more)
    }
    more()
  })
  await using lockstep = await startLockstep({
    url: server.url,
    serviceDn: 'cn=lockstep,dc=example,dc=org',
    servicePassword: 'secret',
    peopleDn: 'ou=people,dc=example,dc=org',
  })
  lockstep.spool({ kind: 'lock', args: ['--serial', 'S1', '--user', 'u1', '--realm', 'r1'], takenAtMs: Date.now() })
  await eventually('the answer was refused', () =>
    /its answer was not taken: a message of 2147483/.test(lockstep.log()),
  )
  await eventually('it was asked again', () => server.connections >= 4, 60_000)
  expect(peakKib(lockstep)).toBeLessThan(PEAK_KIB_MAX)
})

test('31 MiB of nested JSON to the webhook and as files of the spool take no memory', async () => {
  await using slapd = await startSlapd({ users: 2, dbNoSync: true })
  const httpPort = await freePort()
  await using lockstep = await startLockstep(slapd, { httpPort })
  const text = nested(31 * MIB)
  for (let count = 0; count < 3; count++) {
    writeFileSync(join(lockstep.spoolDir, 'tmp', `junk${count}`), text)
    renameSync(join(lockstep.spoolDir, 'tmp', `junk${count}`), join(lockstep.spoolDir, 'new', `junk${count}`))
  }
  const url = `http://127.0.0.1:${httpPort}/hooks/privacyidea/${HOOK_SECRET}/lock`
  const post = async (body: string): Promise<number> => {
    try {
      return (await fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json' } })).status
    } catch {
      return 0 // It was cut off while it still sent.
    }
  }
  const sizes = [...Array<number>(3).fill(31 * MIB), ...Array<number>(200).fill(60 * 1024)]
  const statuses = await Promise.all(sizes.map((bytes) => post(nested(bytes))))
  expect(statuses).not.toContain(202)
  expect(statuses).toContain(400)
  await lockstep.settled()
  expect(peakKib(lockstep)).toBeLessThan(PEAK_KIB_MAX)
})
