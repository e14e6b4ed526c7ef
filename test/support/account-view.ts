import type { Slapd } from '../servers/ldap/slapd.ts'

/** One account as the stock tools see it. */
export interface AccountView {
  /** False when the right password is refused. */
  readonly canBind: boolean
  readonly lockedTime: string | null
  /** Values of the serial attribute, sorted. */
  readonly descriptions: readonly string[]
}

export async function look(slapd: Slapd, login: string): Promise<AccountView> {
  const dn = slapd.userDn(login)
  const canBind = await slapd.ldapwhoami(dn, slapd.userPassword)
  const text = await slapd.ldapsearch('-b', dn, '-s', 'base', '(objectClass=*)', 'pwdAccountLockedTime', 'description')
  return {
    canBind,
    lockedTime: valuesOf(text, 'pwdAccountLockedTime')[0] ?? null,
    descriptions: valuesOf(text, 'description').toSorted(),
  }
}

/** All people at once, by login; nobody's bind is tried. */
export async function lookAtAll(slapd: Slapd): Promise<Map<string, Omit<AccountView, 'canBind'>>> {
  const text = await slapd.ldapsearch('-b', slapd.peopleDn, '(uid=*)', 'uid', 'pwdAccountLockedTime', 'description')
  const entries = text.split('\n\n').filter((entry) => entry.includes('uid: '))
  return new Map(
    entries.map((entry) => [
      valuesOf(entry, 'uid')[0] ?? '',
      {
        lockedTime: valuesOf(entry, 'pwdAccountLockedTime')[0] ?? null,
        descriptions: valuesOf(entry, 'description').toSorted(),
      },
    ]),
  )
}

/** Takes out what a test left, so that the next one starts afresh. */
export async function resetPeople(slapd: Slapd, logins: readonly string[]): Promise<void> {
  const records = logins.map(
    (login) =>
      `dn: ${slapd.userDn(login)}\nchangetype: modify\nreplace: description\n-\nreplace: pwdAccountLockedTime\n`,
  )
  const { code, stderr } = await slapd.ldapmodify(records.join('\n'))
  if (code !== 0) throw new Error(`cannot reset the people: ${stderr}`)
}

export function serialsOf(view: AccountView): string[] {
  return view.descriptions.flatMap((text) => (text.startsWith('privacyIDEA:') ? [text.slice(12)] : []))
}

/** The whole entry, without what every write changes whoever does it. */
export async function everythingOf(slapd: Slapd, login: string): Promise<string> {
  const text = await slapd.ldapsearch('-b', slapd.userDn(login), '-s', 'base', '(objectClass=*)', '*', '+')
  return text
    .split('\n')
    .filter((line) => !/^(?:entryCSN|modifyTimestamp|modifiersName): /.test(line))
    .toSorted()
    .join('\n')
}

function valuesOf(text: string, attribute: string): string[] {
  const prefix = `${attribute}: `
  return text.split('\n').flatMap((line) => (line.startsWith(prefix) ? [line.slice(prefix.length)] : []))
}
