import { expect } from 'vitest'
import { freePort } from '../../servers/free-port.ts'
import { look, serialsOf } from '../../support/account-view.ts'
import { lockstep, lockstepTest as test, slapd } from '../../support/fixture.ts'
import { HOOK_SECRET } from '../../support/lockstep.ts'

/** The same life through the webhook. */

let url = ''

test.override('slapdOptions', { users: 5 })
test.override('lockstepOptions', async () => {
  const httpPort = await freePort()
  url = `http://127.0.0.1:${httpPort}/hooks/privacyidea`
  return { httpPort }
})

type Fields = Readonly<Record<'user' | 'realm' | 'serial', string>>

const FORMS: readonly [string, string, (fields: Fields) => string][] = [
  ['a form, as up to 3.13', 'urlencoded', ({ user, realm, serial }) => `user=${user}&realm=${realm}&serial=${serial}`],
  [
    'a form with its MIME type',
    'application/x-www-form-urlencoded',
    (fields) => new URLSearchParams(fields).toString(),
  ],
  ['JSON', 'application/json', (fields) => JSON.stringify(fields)],
]

test.each(FORMS)('register, lock, unlock and unregister by %s reach the account', async (name, type, encode) => {
  const user = `u${FORMS.findIndex(([each]) => each === name) + 1}`
  const serial = `HOOK-${user}`
  async function post(kind: string, fields: Partial<Fields>): Promise<void> {
    const body = encode({ user, realm: 'r1', serial, ...fields })
    const answer = await fetch(`${url}/${HOOK_SECRET}/${kind}`, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    })
    expect({ status: answer.status, body: await answer.json() }).toEqual({ status: 202, body: { accepted: 1 } })
    await lockstep.settled()
  }
  await post('register', {})
  expect(serialsOf(await look(slapd, user))).toEqual([serial])
  await post('lock', { serial: 'None' })
  expect((await look(slapd, user)).canBind).toBe(false)
  expect(lockstep.ldif('unlock')).toEqual([`${serial}.ldif`])
  await post('unlock', {})
  expect((await look(slapd, user)).canBind).toBe(true)
  await post('lock', {})
  await post('unregister', {})
  expect(await look(slapd, user)).toEqual({ canBind: true, lockedTime: null, descriptions: [] })
})

test('an event is on record when the webhook answers 202, even if the daemon dies at once', async () => {
  const answer = await fetch(`${url}/${HOOK_SECRET}/lock`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user: 'u5', realm: 'r1', serial: '' }),
  })
  await lockstep.kill9()
  expect(answer.status).toBe(202)
  await lockstep.serve()
  await lockstep.settled()
  expect((await look(slapd, 'u5')).canBind).toBe(false)
})

test('a wrong secret is told nothing, and nothing happens', async () => {
  const before = await lockstep.json('events')
  const answer = await fetch(`${url}/wrong/lock`, { method: 'POST', body: 'user=u4&realm=r1&serial=None' })
  expect(answer.status).toBe(404)
  expect(await lockstep.json('events')).toEqual(before)
})
