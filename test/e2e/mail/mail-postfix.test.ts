import { expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startPostfix } from '../../servers/mail/postfix.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { startLockstep, type Lockstep } from '../../support/lockstep.ts'
import { describePeople, mailYaml } from './mail-fixture.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** A real Postfix, which says only to a recipient what it has against the client, its name or the sender. */

interface MailStatus {
  readonly mail: {
    readonly states: Readonly<Record<string, number>>
    readonly failing: {
      readonly answer: { readonly stage: string; readonly status: number; readonly kind: string }
    } | null
    readonly sentAt: string | null
  }
}

const RECIPIENTS = ['helpdesk@example.org', 'u1@example.org', 'u2@example.org', 'u3@example.org']
const REFUSALS = [
  [{ smtpd_client_restrictions: 'reject' }, 554, 'client', /mynetworks/],
  [{ smtpd_sender_restrictions: 'reject' }, 554, 'sender', /mail\.from/],
  [{ smtpd_recipient_restrictions: 'permit_sasl_authenticated, reject' }, 554, 'policy', /log of the mail server/],
  [{ mydestination: 'elsewhere.example' }, 554, 'relay', /mail\.user and mail\.passwordFile/],
  [{ smtpd_helo_restrictions: 'reject_non_fqdn_helo_hostname' }, 504, 'ehlo-name', /mail\.ehloName/],
] as const

async function findingsOf(lockstep: Lockstep): Promise<{ check: string; status: string; what: string; fix: string }[]> {
  type Findings = { findings: { check: string; status: string; what: string; fix: string }[] }
  return (await lockstep.cli('doctor', '--json')).json<Findings>().findings
}

test('whatever Postfix refuses this machine for, no mail is lost, doctor finds it, and with the key that it names all come', async () => {
  await using stack = new AsyncDisposableStack()
  const slapd = stack.use(await startSlapd({ users: 3, dbNoSync: true }))
  const people = ['u1', 'u2', 'u3']
  await describePeople(slapd, Object.fromEntries(people.map((login) => [login, { mail: `${login}@example.org` }])))
  const postfix = stack.use(await startPostfix())
  const lockstep = stack.use(await startLockstep(slapd, { yaml: mailYaml(postfix, ['ehloName: vm']) }))
  const status = async (): Promise<MailStatus['mail']> => (await lockstep.json<MailStatus>('status')).mail

  await postfix.set(REFUSALS[0][0])
  for (const login of people) lockstep.spool({ kind: 'lock', args: asNobody(null, login), takenAtMs: Date.now() })
  await lockstep.settled()
  for (const [parameters, code, kind, fix] of REFUSALS) {
    await postfix.set(parameters)
    await eventually(`status has ${kind}`, async () => {
      await lockstep.json('mail', 'retry', '--all')
      const answer = (await status()).failing?.answer
      return answer?.stage === 'recipient' && answer.status === code && answer.kind === kind
    })
    const { states, sentAt } = await status()
    expect([(states['waiting'] ?? 0) + (states['gathering'] ?? 0), sentAt], kind).toEqual([RECIPIENTS.length, null])
    const finding = (await findingsOf(lockstep)).find(({ check }) => check === 'mail-recipient')
    expect(finding, kind).toMatchObject({ status: 'fail', fix: expect.stringMatching(fix) })
  }
  expect(await postfix.delivered()).toEqual([])

  lockstep.editConfig((yaml) => yaml.replace('ehloName: vm', 'ehloName: lockstep.example.org'))
  expect((await lockstep.cli('reload')).code).toBe(0)
  await lockstep.json('mail', 'retry', '--all')
  await eventually('all came', async () => (await postfix.delivered()).length === RECIPIENTS.length)
  expect((await postfix.delivered()).toSorted()).toEqual(RECIPIENTS)
  await eventually('status is content', async () => (await status()).failing === null)
  const findings = await findingsOf(lockstep)
  expect(findings.find(({ check }) => check === 'mail-recipient')).toMatchObject({ status: 'ok' })
})

test('an address that Postfix does not have ends by itself, beside the others that it takes', async () => {
  await using stack = new AsyncDisposableStack()
  const slapd = stack.use(await startSlapd({ users: 3, dbNoSync: true }))
  await describePeople(slapd, {
    u1: { mail: 'u1@example.org' },
    u2: { mail: 'gone@example.org' },
    u3: { mail: 'u3@elsewhere.example' },
  })
  const postfix = stack.use(await startPostfix())
  const lockstep = stack.use(
    await startLockstep(slapd, { yaml: mailYaml(postfix, ['ehloName: lockstep.example.org']) }),
  )
  for (const login of ['u1', 'u2', 'u3']) {
    lockstep.spool({ kind: 'lock', args: asNobody(null, login), takenAtMs: Date.now() })
  }
  await lockstep.settled()
  type Listed = { mails: { recipient: string; answer: { enhanced: string; kind: string } }[] }
  const refused = await eventually('two are refused', async () => {
    const { mails } = await lockstep.json<Listed>('mail', 'list', '--state', 'refused')
    return mails.length === 2 && mails
  })
  expect(refused.map(({ recipient, answer }) => [recipient, answer.enhanced, answer.kind]).toSorted()).toEqual([
    ['u2', '5.1.1', 'recipient'],
    ['u3', '5.7.1', 'relay'],
  ])
  expect((await postfix.delivered()).toSorted()).toEqual(['helpdesk@example.org', 'u1@example.org'])
})
