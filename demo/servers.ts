import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPrivacyIdea } from '../test/servers/privacyidea/privacyidea.ts'
import { startSlapd } from '../test/servers/ldap/slapd.ts'
import { peopleLdif } from './people.ts'
import { writePlayFolder } from './play-folder.ts'

/**
 * `npm run servers -- FOLDER`: a real privacyIDEA and a real OpenLDAP to play with, as docs/tutorial/quick-start.md does. Both are
 * on loopback, thrown away at the end, and reached by what FOLDER/env sets.
 */

const BIN = fileURLToPath(new URL('../bin', import.meta.url))
const EXIT_USAGE = 64

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
  writePlayFolder(folder, BIN, slapd, pi)
  process.stdout.write(`OpenLDAP listens on ${slapd.url}, privacyIDEA 3.14 on ${pi.url} (admin, secret).
In another terminal: . ${join(folder, 'env')}
Ctrl-C ends both and throws their data away.
`)
  await stop.promise
  return 0
}

process.exitCode = await main()
