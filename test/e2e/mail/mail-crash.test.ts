import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startMailSink } from '../../servers/mail/mail-sink.ts'
import { slapd, slapdTest as test } from '../../support/fixture.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { describePeople, mailYaml } from './mail-fixture.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** Mail and SIGKILL: nothing is lost, and what comes twice is the same mail. */

const KILLS = Number(process.env['LOCKSTEP_MAIL_KILLS'] ?? '5')
const MAILS_PER_KILL = 4
const PER_SECOND = 10
const PEOPLE = Array.from({ length: KILLS * MAILS_PER_KILL }, (_, at) => `u${at + 1}`)
/** Enough for a kill between any two moments of a few mails. */
const KILL_WITHIN_MS = 800

test.override('slapdOptions', { users: PEOPLE.length })
test.beforeAll(async () => {
  await describePeople(slapd, Object.fromEntries(PEOPLE.map((login) => [login, { mail: `${login}@example.org` }])))
})

test(
  `killed ${KILLS} times while it sends, it sends every mail, and hardly one twice`,
  async () => {
    await using sink = await startMailSink()
    const limits = `limits: { gather: 0s, interval: 0s, perSecond: ${PER_SECOND} }`
    await using lockstep = await startLockstep(slapd, { yaml: mailYaml(sink, [limits, 'helpDesk: { addresses: [] }']) })
    const seed = Math.floor(Math.random() * 2 ** 31)
    console.log(`seed ${seed}`)
    let state = seed
    const random = (): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31
    for (let kill = 0; kill < KILLS; kill++) {
      for (const login of PEOPLE.slice(kill * MAILS_PER_KILL, (kill + 1) * MAILS_PER_KILL)) {
        lockstep.spool({ kind: 'lock', args: asNobody(null, login), takenAtMs: Date.now() })
      }
      const before = sink.count()
      await eventually('it sends', () => sink.count() > before)
      const atMs = performance.now() + random() * KILL_WITHIN_MS
      await eventually('the moment of the kill', () => performance.now() >= atMs)
      await lockstep.kill9()
      await lockstep.serve()
    }
    const reached = (): number => new Set(sink.mails().map(({ to }) => to)).size
    await eventually('everybody was told', () => reached() === PEOPLE.length, 60_000)
    await eventually('nothing waits any more', async () => {
      const { states } = await lockstep.json<{ states: Record<string, number> }>('mail', 'list')
      return states['sent'] === PEOPLE.length
    })
    const ids = sink.mails().map((mail) => mail.headers.get('message-id'))
    console.log(`${KILLS} kills, ${ids.length} mails for ${PEOPLE.length} people`)
    expect(new Set(ids).size).toBe(PEOPLE.length)
    expect(ids.length - PEOPLE.length).toBeLessThanOrEqual(Math.max(1, Math.ceil(KILLS / 100)))
  },
  Math.max(60_000, KILLS * 5_000),
)
