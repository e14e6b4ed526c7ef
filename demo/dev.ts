import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPrivacyIdea, type PrivacyIdea } from '../test/servers/privacyidea/privacyidea.ts'
import { startSlapd, type Slapd } from '../test/servers/ldap/slapd.ts'
import { runTool } from '../test/servers/run-tool.ts'
import { succeed } from './instance.ts'
import { peopleLdif } from './people.ts'
import { quoted, writePlayFolder } from './play-folder.ts'
import { restartOnChange } from '../scripts/restart-on-change.ts'

/**
 * `npm run dev [-- FOLDER]`: a real privacyIDEA and a real OpenLDAP, Lockstep set up between them, and its daemon from the source,
 * started anew after each change. All of it is on loopback, in FOLDER (`.dev` else), and thrown away at the next start.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SOURCE = join(ROOT, 'src', 'cli', 'lockstep.ts')
const NODE = [process.execPath, '--disable-warning=ExperimentalWarning'] as const
/** Only a folder that has it is emptied. */
const MARK = '.lockstep-dev'
/** A token that belongs to nobody, which shows that the reader of the tokens sees any. */
const KNOWN_TOKEN = 'ALWAYS1'
const EXIT_USAGE = 64

function emptied(folder: string): boolean {
  const names = existsSync(folder) ? readdirSync(folder) : []
  if (names.length > 0 && !names.includes(MARK)) return false
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, 'bin'), { recursive: true })
  writeFileSync(join(folder, MARK), '')
  const command = ['exec', ...NODE.map(quoted), quoted(SOURCE), '"$@"'].join(' ')
  writeFileSync(join(folder, 'bin', 'lockstep'), `#!/bin/sh\n${command}\n`, { mode: 0o755 })
  return true
}

/** What docs/tutorial/quick-start.md does by hand. */
async function setUp(folder: string, slapd: Slapd, pi: PrivacyIdea): Promise<string> {
  const config = join(folder, 'lockstep.yaml')
  const run = async (...args: readonly string[]): Promise<void> => {
    const program = join(folder, 'bin', 'lockstep')
    await succeed(`lockstep ${args[0]}`, runTool(program, args, { env: { LOCKSTEP_CONFIG: config } }))
  }
  const server = ['--url', slapd.url, '--bind-dn', slapd.serviceDn, '--base', slapd.peopleDn]
  const passwordFile = ['--bind-password-file', join(folder, 'ldap-password')]
  await run('init', ...server, ...passwordFile, '--realm', 'r1', '--state-dir', join(folder, 'state'), '--yes')
  await pi.ask('POST', '/token/init', { type: 'hotp', genkey: 1, serial: KNOWN_TOKEN })
  appendFileSync(
    config,
    `privacyidea:
  url: ${pi.url}
  user: lockstep
  passwordFile: ${JSON.stringify(join(folder, 'pi-password'))}
  knownToken: ${KNOWN_TOKEN}
`,
  )
  const admin = ['--user', 'admin', '--password-file', join(folder, 'admin-password')]
  await run('privacyidea', 'setup', ...admin, '--scripts-dir', pi.scriptsDir, '--yes')
  return config
}

function usage(env: string): string {
  return `
The daemon runs from the source, and is started again after each change in src/ and templates/. Its log follows.
In another terminal, where lockstep runs from the source as well:

  . ${env}
  pi_admin /token/init -d type=hotp -d genkey=1 -d serial=OATH1 -d user=alice -d realm=r1 -d pin=1234
  pi_admin /token/set -d serial=OATH1 -d max_failcount=3
  for n in 1 2 3; do curl -s "$PI_URL/validate/check" -d user=alice -d realm=r1 -d pass=1234000000; echo; done
  lockstep show alice
  pi_admin /token/reset -d serial=OATH1

Ctrl-C ends the daemon and both servers. Their data are thrown away, what Lockstep wrote stays until the next start.

`
}

async function main(): Promise<number> {
  const [name, ...others] = process.argv.slice(2)
  if (others.length > 0 || name?.startsWith('-') === true) {
    process.stderr.write('usage: npm run dev [-- FOLDER]\n')
    return EXIT_USAGE
  }
  const folder = name === undefined ? join(ROOT, '.dev') : resolve(process.env['INIT_CWD'] ?? '.', name)
  if (!emptied(folder)) {
    process.stderr.write(`${folder} holds something else: name an empty folder, or one that does not exist\n`)
    return EXIT_USAGE
  }
  const say = (text: string): void => void process.stdout.write(`==> ${text}\n`)
  const stop = Promise.withResolvers<void>()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.resolve())
  await using slapd = await startSlapd({ users: 0, extraLdif: peopleLdif('ou=people,dc=example,dc=org') })
  say(`OpenLDAP listens on ${slapd.url}. privacyIDEA is installed the first time, which takes a minute.`)
  await using pi = await startPrivacyIdea({ release: '3.14', userStore: slapd })
  say(`privacyIDEA 3.14 listens on ${pi.url} (admin, secret). Lockstep is set up between them.`)
  writePlayFolder(folder, join(folder, 'bin'), slapd, pi)
  const config = await setUp(folder, slapd, pi)
  process.stdout.write(usage(join(folder, 'env')))
  const [node, ...options] = NODE
  const start = () =>
    spawn(node, [...options, SOURCE, 'serve', '--config', config], { stdio: ['ignore', 'inherit', 'inherit'] })
  await using daemon = restartOnChange([join(ROOT, 'src'), join(ROOT, 'templates')], start, say)
  await stop.promise
  say(`The daemon was started ${daemon.starts} times. It ends, then both servers.`)
  return 0
}

process.exitCode = await main()
