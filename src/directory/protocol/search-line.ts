import type { Login, Realm } from '../../core/names.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import { escapeFilterValue } from './filter.ts'

/** The stock command for the search that Lockstep made, for people to try; `-W` asks for the password. */
export function searchLine(settings: DirectorySettings, login: Login, realm: Realm | null): string {
  const filter = settings.userFilter
    .replaceAll('{login}', () => escapeFilterValue(login))
    .replaceAll('{realm}', () => escapeFilterValue(realm ?? ''))
  const parts = ['-H', settings.urls[0] ?? '', '-D', settings.bindDn, '-b', settings.base, filter]
  return `ldapsearch -x -W -LLL ${parts.map(quoted).join(' ')}`
}

/** The stock command for the bind that Lockstep makes. */
export function bindLine(url: string, dn: string): string {
  return `ldapwhoami -x -W -H ${quoted(url)} -D ${quoted(dn)}`
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
