import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { look } from '../../support/account-view.ts'
import { slapd, slapdTest as test } from '../../support/fixture.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

const PEOPLE = ['u1', 'u2', 'u3', 'u4', 'u5', 'u6']
const ELSEWHERE = 'ou=groups,dc=example,dc=org'

test.override('slapdOptions', { users: PEOPLE.length })

/** Moved, and not deleted: they keep their ids. */
async function move(from: string, to: string): Promise<void> {
  const records = PEOPLE.map(
    (user) => `dn: uid=${user},${from}\nchangetype: moddn\nnewrdn: uid=${user}\ndeleteoldrdn: 0\nnewsuperior: ${to}\n`,
  )
  const { code, stderr } = await slapd.ldapmodify(records.join('\n'))
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
}

test('when a directory suddenly shows none of the locked accounts that is told once, and nothing is given up', async () => {
  await using lockstep = await startLockstep(slapd)
  for (const user of PEOPLE) await lockstep.shim('lock', asNobody(null, user))
  await lockstep.settled()
  const files = lockstep.ldif('unlock')
  expect(files).toHaveLength(PEOPLE.length)
  await move(slapd.peopleDn, ELSEWHERE)
  await lockstep.cli('retry')
  await lockstep.settled()
  await eventually('the log tells it', () => /^warn accounts-gone /m.test(lockstep.log()))
  const status = await lockstep.json<{ health: string; findings: { text: string }[] }>('status')
  expect(status).toMatchObject({ health: 'attention', findings: [{ code: 'accounts-gone', subject: 'corp' }] })
  expect(status.findings[0]?.text).toMatch(/of 6 accounts of directory corp .* no longer found/)
  expect(lockstep.ldif('unlock')).toEqual(files)

  await move(ELSEWHERE, slapd.peopleDn)
  await lockstep.cli('retry')
  await lockstep.settled()
  expect(await lockstep.json<object>('status')).toMatchObject({ health: 'ok', findings: [] })
  expect((await look(slapd, 'u1')).canBind).toBe(false)
  expect(lockstep.log().match(/^warn accounts-gone /gm)).toHaveLength(1)
})
