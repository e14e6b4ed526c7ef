import { existsSync, mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createLockstep, type Lockstep } from '../test/support/lockstep.ts'
import { asAdmin, asNobody } from '../test/support/privacyidea-arguments.ts'
import { startSlapd, type Slapd } from '../test/servers/ldap/slapd.ts'
import { BASE } from '../test/servers/ldap/slapd-files.ts'
import { runOnTerminal } from '../test/servers/debian/terminal.ts'
import { terminalSvg } from './terminal-svg.ts'

/**
 * `npm run pictures`: the pictures of docs/pictures/, from what the built program prints on a terminal of 80 columns, with a
 * real OpenLDAP. Takes slapd and python3, as the tests do.
 */

const COLUMNS = 80
const LOCKS_MAX = 3
const PICTURES: Readonly<Record<string, readonly string[]>> = {
  status: ['status'],
  'accounts-locked': ['accounts', '--locked'],
  review: ['review'],
}
const PEOPLE = ['alice', 'bjarne', 'charlotte.von-der-heide', 'dmitri', 'erin']
const FOLDER = fileURLToPath(new URL('../docs/pictures/', import.meta.url))
const PROGRAM = fileURLToPath(new URL('../bin/lockstep', import.meta.url))
/** The folder of the instance has another name each time. */
const CONFIG_DIR = join(tmpdir(), 'lockstep')
const CONFIG = join(CONFIG_DIR, 'lockstep.yaml')

if (existsSync(CONFIG_DIR)) throw new Error(`${CONFIG_DIR} is there already: move it away`)
await using stack = new AsyncDisposableStack()
const slapd = stack.use(await startSlapd({ users: 1, dbNoSync: true, extraLdif: people() }))
const lockstep = await startedInstance(slapd)
await happenings(lockstep)
mkdirSync(FOLDER, { recursive: true })
for (const [name, args] of Object.entries(PICTURES)) {
  const { raw, code } = await runOnTerminal([PROGRAM, '--config', CONFIG, ...args], { columns: COLUMNS })
  if (code !== 0) throw new Error(`lockstep ${args.join(' ')} ended with ${code}: ${raw}`)
  const lines = [`$ lockstep ${args.join(' ')}`, ...raw.trimEnd().split('\r\n')]
  writeFileSync(join(FOLDER, `${name}.svg`), terminalSvg(lines, COLUMNS, `lockstep ${args.join(' ')}`))
}

function people(): string {
  return PEOPLE.map(
    (uid) => `dn: uid=${uid},ou=people,${BASE}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: ${uid}\n`,
  ).join('\n')
}

/** Its daemon loads the file under a name that is the same each time: its own folder has another one, which `status` shows. */
async function startedInstance(server: Slapd): Promise<Lockstep> {
  const guards = `{ breaker: { maxLocks: ${LOCKS_MAX}, per: 1h } }`
  const instance = stack.use(await createLockstep(server, { guards }))
  symlinkSync(instance.dir, CONFIG_DIR)
  stack.defer(() => unlinkSync(CONFIG_DIR))
  const daemon = instance.startBeside('--config', CONFIG, 'serve')
  const closed = new Promise((resolve) => daemon.once('close', resolve))
  stack.defer(async () => {
    daemon.kill()
    await closed
  })
  const ran = await instance.cli('healthcheck', '--wait', '60s')
  if (ran.code !== 0) throw new Error(`the daemon does not serve: ${ran.stderr}`)
  return instance
}

async function happenings(instance: Lockstep): Promise<void> {
  for (const [at, login] of PEOPLE.entries()) {
    const serial = `TOTP000${at}A1B${at}`
    await instance.shim('register', asAdmin(serial, login))
    await instance.shim('lock', asNobody(serial, login))
    await instance.settled()
  }
  await instance.shim('lock', asNobody(null, 'visitor'))
  await instance.settled()
}
