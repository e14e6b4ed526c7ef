import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Slapd } from '../test/servers/ldap/slapd.ts'
import { passwordOf } from './people.ts'

/** The folder with what a shell needs to reach the throw-away servers: secrets, and `env` to read in with `.`. */

/** Words for a shell: single quotes around, and those within written apart. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** @param bin the folder of the command `lockstep` */
export function writePlayFolder(
  folder: string,
  bin: string,
  slapd: Slapd,
  pi: { readonly url: string; readonly scriptsDir: string },
): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const secrets = {
    'ldap-password': slapd.servicePassword,
    'pi-password': 'lockstep-secret',
    'admin-password': 'secret',
  }
  for (const [name, secret] of Object.entries(secrets)) writeFileSync(join(folder, name), secret, { mode: 0o600 })
  const variables = {
    PLAY: folder,
    LDAP_URL: slapd.url,
    LDAP_BIND_DN: slapd.serviceDn,
    LDAP_BASE: slapd.peopleDn,
    ALICE_PASSWORD: passwordOf('alice'),
    PI_URL: pi.url,
    PI_SCRIPTS: pi.scriptsDir,
    LOCKSTEP_CONFIG: join(folder, 'lockstep.yaml'),
  }
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}=${quoted(value)}`)
  const text = `${lines.join('\n')}
PATH=${quoted(bin)}:$PATH
# privacyIDEA's API as its administrator: pi_admin PATH, and further arguments of curl. Prints the result.
pi_admin() {
  path=$1
  shift
  login=$(curl -s "$PI_URL/auth" -d username=admin --data-urlencode "password@$PLAY/admin-password")
  curl -s "$PI_URL$path" -H "Authorization: $(printf %s "$login" | sed 's/.*"token": *"\\([^"]*\\)".*/\\1/')" "$@" |
    sed 's/.*"result": *\\({.*}\\), *"time".*/\\1/'
  echo
}
`
  writeFileSync(join(folder, 'env'), text, { mode: 0o644 })
}
