import { loginOf, PPOLICY_LOCK, PPOLICY_STAMP, type World } from './contract.ts'
import type { DirectoryPort } from '../../src/ports/directory.ts'
import type { Slapd } from '../servers/ldap/slapd.ts'

/** A test server as the contract sees it: other people's edits by the stock tools, as the administrator. */
export function slapdWorld(slapd: Slapd, port: DirectoryPort): World {
  let users = 0
  const edit = async (text: string): Promise<void> => {
    const { code, stderr } = await slapd.ldapmodify(text)
    if (code !== 0) throw new Error(`ldapmodify: ${code} ${stderr}`)
  }
  const modify = (login: string, lines: string) => edit(`dn: ${slapd.userDn(login)}\nchangetype: modify\n${lines}\n`)
  const setLock = (login: string, value: string | null) => {
    const line = value === null ? '' : `\npwdAccountLockedTime: ${value}`
    return modify(login, `replace: pwdAccountLockedTime${line}`)
  }
  return {
    port,
    lock: PPOLICY_LOCK,
    newLogin: async () => loginOf(`u${++users}`),
    serialValues: (login) => valuesAt(slapd, login, 'description'),
    lockValues: (login) => valuesAt(slapd, login, 'pwdAccountLockedTime'),
    addSerialValue: (login, value) => modify(login, `add: description\ndescription: ${value}`),
    setLock,
    lockOtherwise: (login) => setLock(login, PPOLICY_STAMP),
    rdn: (login) => `uid=${login}`,
    rename: (login, to) => edit(`dn: ${slapd.userDn(login)}\nchangetype: modrdn\nnewrdn: uid=${to}\ndeleteoldrdn: 1\n`),
    remove: (login) => edit(`dn: ${slapd.userDn(login)}\nchangetype: delete\n`),
  }
}

/** The plain values of an attribute by the stock `ldapsearch`, sorted. */
export async function valuesAt(slapd: Slapd, login: string, attribute: string): Promise<string[]> {
  const ldif = await slapd.ldapsearch('-b', slapd.userDn(login), '-s', 'base', attribute)
  const lines = ldif.split('\n').filter((line) => line.startsWith(`${attribute}: `))
  return lines.map((line) => line.slice(attribute.length + 2)).toSorted()
}
