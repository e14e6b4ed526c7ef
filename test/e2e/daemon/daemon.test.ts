import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { look } from '../../support/account-view.ts'
import { newUser, slapd, slapdTest as test, user } from '../../support/fixture.ts'
import { createLockstep, startLockstep } from '../../support/lockstep.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** The daemon as systemd and an administrator see it. */

const STOP_MS_MAX = 2_000

test.override('slapdOptions', { users: 60 })

test('a second daemon on the same store is refused, names the first, and does not disturb it', async () => {
  await using lockstep = await startLockstep(slapd)
  const second = await lockstep.cli('serve')
  expect(second.code).toBe(69)
  expect(second.stderr).toBe(
    `lockstep: another daemon (process ${lockstep.pid}) already serves this store\n` +
      '  Stop it first, or give this one its own store (key store). `lockstep drain` may run beside it.\n',
  )
  await lockstep.shim('lock', asNobody(null, user))
  await lockstep.settled()
  expect((await look(slapd, user)).canBind).toBe(false)
  expect((await lockstep.cli('healthcheck')).code).toBe(0)
})

test('a daemon that was killed leaves nothing that keeps the next one from starting', async () => {
  await using lockstep = await startLockstep(slapd)
  for (let count = 0; count < 3; count++) {
    await lockstep.kill9()
    await lockstep.serve()
  }
  expect((await lockstep.cli('healthcheck')).code).toBe(0)
})

test('SIGTERM ends it cleanly within two seconds, idle and under load', async () => {
  await using lockstep = await startLockstep(slapd)
  const idle = await lockstep.stop()
  expect(idle.code).toBe(0)
  expect(idle.ms).toBeLessThan(STOP_MS_MAX)
  expect((await lockstep.cli('healthcheck')).code).toBe(69)

  await lockstep.serve()
  const many = Array.from({ length: 20 }, () => newUser())
  for (const each of many) lockstep.spool({ kind: 'lock', args: asNobody(null, each), takenAtMs: Date.now() })
  const busy = await lockstep.stop()
  expect(busy.code).toBe(0)
  expect(busy.ms).toBeLessThan(STOP_MS_MAX)
  await lockstep.serve()
  await lockstep.settled()
  for (const each of many) expect((await look(slapd, each)).canBind, each).toBe(false)
})

test('SIGTERM ends it within two seconds of the directory’s own timeout while the directory hangs', async () => {
  await using lockstep = await startLockstep(slapd, { directory: 'operationTimeout: 1s' })
  slapd.pause()
  try {
    await lockstep.shim('lock', asNobody(null, user))
    const { code, ms } = await lockstep.stop()
    expect(code).toBe(0)
    expect(ms).toBeLessThan(1_000 + STOP_MS_MAX)
  } finally {
    slapd.resume()
  }
})

test('it tells systemd when it is ready, and when it stops', async () => {
  await using temp = await makeTempDir('notify')
  const socket = join(temp.path, 'notify.sock')
  const receiver = spawn('perl', [
    '-MIO::Socket::UNIX',
    '-e',
    `$| = 1; my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die "no socket: $!";
     print "listening\\n"; while (defined $s->recv(my $m, 4096)) { print "$m\\n" }`,
    socket,
  ])
  let received = ''
  receiver.stdout.on('data', (chunk: Buffer) => (received += chunk.toString()))
  try {
    await eventually('the receiver listens', () => received.includes('listening'))
    await using lockstep = await createLockstep(slapd, { env: { NOTIFY_SOCKET: socket } })
    // The harness takes NOTIFY_SOCKET of its own environment away, not this one.
    await lockstep.serve()
    const pid = lockstep.pid
    await eventually('READY=1 came', () => /^READY=1$/m.test(received))
    expect(received).toMatch(new RegExp(`^MAINPID=${pid}$`, 'm'))
    await lockstep.stop()
    await eventually('STOPPING=1 came', () => /^STOPPING=1$/m.test(received))
  } finally {
    const ended = once(receiver, 'exit')
    receiver.kill()
    await ended
  }
})

test('a port that is in use is named, with the key to change', async () => {
  const other = createServer()
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  try {
    const address = other.address()
    const httpPort = typeof address === 'object' && address !== null ? address.port : 0
    await using lockstep = await createLockstep(slapd, { httpPort })
    const ran = await lockstep.cli('serve')
    expect(ran.code).toBe(69)
    expect(ran.stderr).toContain(`127.0.0.1:${httpPort}`)
    expect(ran.stderr).toContain('intake.http.listen')
    // Nothing is left behind: the next start finds the store free.
    expect((await lockstep.cli('healthcheck')).code).toBe(69)
  } finally {
    other.close()
  }
})

test('with a refused bind it serves and takes events, and status says what is wrong', async () => {
  await using lockstep = await startLockstep({
    url: slapd.url,
    serviceDn: slapd.serviceDn,
    servicePassword: 'not-the-password',
    peopleDn: slapd.peopleDn,
  })
  await lockstep.shim('lock', asNobody(null, user))
  await lockstep.settled()
  const { waits } = await lockstep.json<{ waits: unknown[] }>('status')
  expect(waits).toMatchObject([{ code: 'directory-bind-refused' }])
  expect(JSON.stringify(waits)).not.toContain('not-the-password')
})

test('the log of a day holds no secret and one line an entry', async () => {
  await using lockstep = await startLockstep(slapd)
  await lockstep.shim('lock', asNobody(null, user))
  await lockstep.shim('lock', asNobody(null, 'somebody\nelse'))
  await lockstep.settled()
  await lockstep.stop()
  for (const line of lockstep.log().trimEnd().split('\n')) expect(line).toMatch(/^(?:info|warn|error) /)
  expect(lockstep.log()).not.toContain(slapd.servicePassword)
})
