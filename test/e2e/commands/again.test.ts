import { expect } from 'vitest'
import { slapd, slapdTest as test } from '../../support/fixture.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** An order that is given a second time says what was so before, and its reason is on record. */

test.override('slapdOptions', { users: 6 })

test('a lock that is approved already, and waits, is named with who approved it', async () => {
  const guards = '{ breaker: { maxLocks: 1, per: 1h } }'
  await using lockstep = await startLockstep(slapd, { guards })
  for (const user of ['u1', 'u2']) {
    await lockstep.shim('lock', asNobody(null, user))
    await lockstep.settled()
  }
  await lockstep.json('pause', '--reason', 'so that it waits')
  await lockstep.cli('review', 'approve', 'u2', '--reason', 'seen')
  const again = await lockstep.cli('review', 'approve', 'u2', '--reason', 'seen')
  expect(again.stdout).toMatch(/^u2: approved already by \S+, and not carried out yet; lockstep show shows why\n$/)
  const ran = await lockstep.cli('review', 'approve', 'u2', '--reason', 'seen', '--json')
  expect([ran.code, ran.document<object>()]).toMatchObject([
    67,
    {
      error: { code: 'nothing-matched', message: 'approved already, and not carried out yet' },
      data: { approved: 0, approvedBefore: [{ login: 'u2', by: [expect.any(String)] }] },
    },
  ])
  await lockstep.json('resume', '--reason', 'over')
  await lockstep.settled()
  for (const user of ['u1', 'u2']) await lockstep.json('unlock', user, '--reason', 'done')
})

test('accept and retire say where it was so already, and undo has its reason in the timeline', async () => {
  await using lockstep = await startLockstep(slapd)
  expect((await lockstep.cli('directory', 'accept', 'corp')).stdout).toContain('directory corp was on record already')
  expect(await lockstep.json('directory', 'accept', 'corp')).toMatchObject({
    changed: false,
    before: { base: slapd.peopleDn },
  })
  await lockstep.json('lock', 'u3', '--reason', 'a mistake')
  await lockstep.json('undo', '--since', '1h', '--yes', '--reason', 'wrong user')
  expect((await lockstep.cli('show', 'u3')).stdout).toMatch(/undo of lock \S+: wrong user/)
  const first = await lockstep.cli('retire', 'corp', '--yes')
  expect(first.stderr).not.toContain('retired already')
  const second = await lockstep.cli('retire', 'corp', '--yes')
  expect(second.stderr).toMatch(/^directory corp was retired already, since \S+; it was searched again$/m)
})
