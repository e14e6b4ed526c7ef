import type { MailSink } from '../../servers/mail/mail-sink.ts'
import type { Slapd } from '../../servers/ldap/slapd.ts'

/** What people have that mail needs, and the section `mail` of the tests. */

export interface Person {
  readonly mail?: string
  readonly name?: string
  readonly language?: string
}

export async function describePeople(slapd: Slapd, people: Readonly<Record<string, Person>>): Promise<void> {
  const attribute = (name: string, value: string | undefined): string =>
    value === undefined
      ? `replace: ${name}\n-\n`
      : `replace: ${name}\n${name}:: ${Buffer.from(value).toString('base64')}\n-\n`
  const records = Object.entries(people).map(
    ([login, { mail, name, language }]) =>
      `dn: ${slapd.userDn(login)}\nchangetype: modify\n` +
      attribute('mail', mail) +
      attribute('displayName', name) +
      attribute('preferredLanguage', language),
  )
  const { code, stderr } = await slapd.ldapmodify(records.join('\n'))
  if (code !== 0) throw new Error(`cannot describe the people: ${stderr}`)
}

export const HELP_DESK = 'helpdesk@example.org'

/** @param more further keys of the section, a line each */
export function mailYaml(sink: Pick<MailSink, 'url'>, more: readonly string[] = []): string {
  const lines = [`smtp: ${sink.url}`, 'from: Lockstep <lockstep@example.org>', 'timeZone: Europe/Berlin', ...more]
  const has = (key: string): boolean => lines.some((line) => line.startsWith(`${key}:`))
  if (!has('helpDesk')) lines.push(`helpDesk: { addresses: [${HELP_DESK}] }`)
  if (!has('limits')) lines.push('limits: { gather: 0s, interval: 0s, perSecond: 50 }')
  return `mail:\n${lines.map((line) => `  ${line}\n`).join('')}`
}
