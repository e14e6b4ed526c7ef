import { expect } from 'vitest'
import { TOKEN_EVENT_KINDS, type TokenEventKind } from '../../../src/core/events/event.ts'
import { readCaptured } from '../../intake/captured.ts'
import { lockstep, lockstepTest as test, slapd } from '../../support/fixture.ts'
import { look, serialsOf } from '../../support/account-view.ts'

/** What privacyIDEA 3.13.3 really handed over, through the real shims. */

const PEOPLE = ['alice', 'bob', 'carol', 'dave']

test.override('slapdOptions', { users: 0, extraLdif: PEOPLE.map(person).join('\n') })

function person(uid: string): string {
  return `dn: uid=${uid},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: ${uid}\nuserPassword: userpw\n`
}

/** The bindings that docs and facts name, for the calls of the capture. */
function bindingOf(call: string): TokenEventKind | null {
  if (/^(?:init|assign)/.test(call)) return 'register'
  if (/^(?:unassign|delete)/.test(call)) return 'unregister'
  if (/^(?:locked:|carol single-token wrong (?:OTP|PIN) #3|dave M1 locked)/.test(call)) return 'lock'
  if (call.startsWith('reset')) return 'unlock'
  return null
}

async function play(isPart: (call: string) => boolean): Promise<void> {
  for (const { call, position, args } of readCaptured()) {
    const kind = bindingOf(call)
    if (position !== 'post' || args === undefined || kind === null || !isPart(call)) continue
    expect(await lockstep.shim(kind, args)).toMatchObject({ code: 0, stderr: '' })
  }
  await lockstep.settled()
}

test('the captured enrolments, assignments and removals leave each user with the tokens that remained', async () => {
  await play((call) => !/carol|dave|locked|^reset$/.test(call))
  expect(serialsOf(await look(slapd, 'alice'))).toEqual(['H1'])
  expect(serialsOf(await look(slapd, 'bob'))).toEqual(['OATH000180A8'])
  for (const uid of PEOPLE) expect((await look(slapd, uid)).canBind).toBe(true)
})

test('the captured lock-outs keep carol and dave out, and her reset lets carol in', async () => {
  await play((call) => /^carol single-token wrong OTP|^locked/.test(call))
  expect((await look(slapd, 'carol')).canBind).toBe(false)
  await play((call) => call === 'reset')
  expect((await look(slapd, 'carol')).canBind).toBe(true)
  await play((call) => /^carol single-token wrong PIN|^dave M1/.test(call))
  expect((await look(slapd, 'carol')).canBind).toBe(false)
  expect((await look(slapd, 'dave')).canBind).toBe(false)
  expect((await look(slapd, 'alice')).canBind).toBe(true)
})

test.each(TOKEN_EVENT_KINDS)('%s takes every shape of the capture, and each ends on record', async (kind) => {
  const shapes = new Map<string, readonly string[]>()
  for (const { args } of readCaptured()) if (args !== undefined) shapes.set(args.join(' '), args)
  expect(shapes.size).toBeGreaterThan(10)
  const before = await countEvents()
  let expected = 0
  for (const args of shapes.values()) {
    expect((await lockstep.shim(kind, args)).code).toBe(0)
    expected += (args[1] ?? '').split(',').length
  }
  await lockstep.settled()
  expect((await countEvents()) - before).toBe(expected)
  expect(await lockstep.json('events', '--state', 'refused')).toEqual({ events: [], isCut: false })
})

async function countEvents(): Promise<number> {
  return (await lockstep.json<{ events: unknown[] }>('events', '--limit', '100000')).events.length
}
