import { BASE, USER_PASSWORD } from '../../servers/ldap/slapd-files.ts'
import type { Lockstep } from '../../support/lockstep.ts'
import { asAdmin, asNobody } from '../../support/privacyidea-arguments.ts'

/** People whose names and units are hard to show on a terminal. */
export const LONG_LOGIN = `${'anna-maria.von-und-zu-'.repeat(3)}x`.slice(0, 64)
export const WIDE_LOGIN = '李小龍🔒'
export const HELD_BY_MANY = 'beate'
export const AWKWARD = ['alice', LONG_LOGIN, WIDE_LOGIN, HELD_BY_MANY]

const UNIT = `ou=Fakultät für Angewandte Informatik und Wirtschaftswissenschaften,ou=people,${BASE}`

function base64(attribute: string, text: string): string {
  return `${attribute}:: ${Buffer.from(text).toString('base64')}`
}

export function awkwardLdif(): string {
  const unit = [base64('dn', UNIT), 'objectClass: organizationalUnit', base64('ou', UNIT.slice(3, UNIT.indexOf(',')))]
  const people = AWKWARD.map((login) => [
    base64('dn', `uid=${login},${UNIT}`),
    'objectClass: inetOrgPerson',
    ...['uid', 'cn', 'sn'].map((attribute) => base64(attribute, login)),
    `userPassword: ${USER_PASSWORD}`,
  ])
  return [unit, ...people].map((lines) => `${lines.join('\n')}\n`).join('\n')
}

export const MANY_SERIALS = Array.from({ length: 9 }, (_, at) => `TOTP000${at}ABCDEF`)

/** Each of them gets a token that is locked, one gets nine. */
export async function lockAwkwardPeople(lockstep: Lockstep): Promise<void> {
  const serials = (login: string): readonly string[] =>
    login === HELD_BY_MANY ? MANY_SERIALS : [`OATH${String(AWKWARD.indexOf(login)).padStart(8, '0')}`]
  const takenAtMs = Date.now() - 1_000
  for (const login of AWKWARD) {
    for (const serial of serials(login)) {
      lockstep.spool({ kind: 'register', args: asAdmin(serial, login), takenAtMs })
      lockstep.spool({ kind: 'lock', args: asNobody(serial, login), takenAtMs: takenAtMs + 500 })
    }
  }
  await lockstep.settled()
}
