import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPrivacyIdea } from '../test/servers/privacyidea/privacyidea.ts'
import { startSlapd, type Slapd } from '../test/servers/ldap/slapd.ts'
import { passwordOf, peopleLdif } from './people.ts'

/**
 * `npm run servers -- FOLDER`: a real privacyIDEA and a real OpenLDAP to play with, as docs/tutorial/quick-start.md does. Both are
 * on loopback, thrown away at the end, and reached by what FOLDER/env sets.
 */

const BIN = fileURLToPath(new URL('../bin', import.meta.url))
const EXIT_USAGE = 64

/** Words for a shell: single quotes around, and those within written apart. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

function writeFolder(folder: string, slapd: Slapd, pi: { url: string; scriptsDir: string }): void {
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
PATH=${quoted(BIN)}:$PATH
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

async function main(): Promise<number> {
  const [name, ...others] = process.argv.slice(2)
  if (name === undefined || others.length > 0 || name.startsWith('-')) {
    process.stderr.write('usage: npm run servers -- FOLDER\n')
    return EXIT_USAGE
  }
  const folder = resolve(process.env['INIT_CWD'] ?? '.', name)
  const stop = Promise.withResolvers<void>()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.resolve())
  await using slapd = await startSlapd({ users: 0, extraLdif: peopleLdif('ou=people,dc=example,dc=org') })
  process.stdout.write('OpenLDAP runs. privacyIDEA is installed the first time, which takes a minute.\n')
  await using pi = await startPrivacyIdea({ release: '3.14', userStore: slapd })
  writeFolder(folder, slapd, pi)
  process.stdout.write(`OpenLDAP listens on ${slapd.url}, privacyIDEA 3.14 on ${pi.url} (admin, secret).
In another terminal: . ${join(folder, 'env')}
Ctrl-C ends both and throws their data away.
`)
  await stop.promise
  return 0
}

process.exitCode = await main()
