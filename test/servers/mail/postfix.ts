import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../eventually.ts'
import { freePort } from '../free-port.ts'
import { runTool, runToolOk } from '../run-tool.ts'
import { makeTempDir } from '../temp-dir.ts'

const MISSING = 'Postfix is missing; install it with: apt-get install -y --no-install-recommends postfix'
const PROGRAM = '/usr/sbin/postfix'

/**
 * A real Postfix in folders of its own, on a free port of loopback, which takes mail for example.org and throws it away.
 * Its master has to be root. Stopped by pid when disposed. Tried with Debian 12's 3.7.11.
 */
export interface Postfix extends AsyncDisposable {
  readonly url: string
  /** Parameters of main.cf, for sessions that begin from now on. */
  set(parameters: Readonly<Record<string, string>>): Promise<void>
  /** To whom a mail was delivered, in their order. */
  delivered(): Promise<readonly string[]>
}

export async function startPostfix(): Promise<Postfix> {
  await using stack = new AsyncDisposableStack()
  const { path } = stack.use(await makeTempDir('postfix'))
  const port = await freePort()
  const etc = join(path, 'etc')
  const log = join(path, 'queue', 'log')
  await chmod(path, 0o755)
  for (const folder of ['etc', 'queue', 'data']) await mkdir(join(path, folder))
  await chown(join(path, 'data'), ...(await idsOf('postfix')))
  const usual = mainCf(path)
  const write = (parameters: Readonly<Record<string, string>>): Promise<void> =>
    writeFile(join(etc, 'main.cf'), lines({ ...usual, ...parameters }))
  await write({})
  await writeFile(join(etc, 'master.cf'), masterCf(port))
  await runToolOk(PROGRAM, ['-c', etc, 'start'], { missing: MISSING })
  const pid = await eventually('Postfix runs', async () =>
    Number((await readFile(join(path, 'queue', 'pid', 'master.pid'), 'utf8')).trim()),
  )
  stack.defer(async () => {
    process.kill(pid, 'SIGTERM')
    await eventually('Postfix has ended', () => !isAlive(pid))
  })
  const owned = stack.move()
  return {
    url: `smtp://127.0.0.1:${port}`,
    async set(parameters) {
      await write(parameters)
      await runToolOk(PROGRAM, ['-c', etc, 'reload'])
    },
    async delivered() {
      const text = await readFile(log, 'utf8')
      return [...text.matchAll(/postfix\/discard\[\d+\]: .* to=<([^>]*)>.* status=sent/g)].map(([, to = '']) => to)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function idsOf(user: string): Promise<[uid: number, gid: number]> {
  const ids = await Promise.all(
    ['-u', '-g'].map(async (option) => {
      const { code, stdout } = await runTool('id', [option, user])
      if (code !== 0) throw new Error(MISSING)
      return Number(stdout)
    }),
  )
  return [ids[0] ?? 0, ids[1] ?? 0]
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function lines(parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('')
}

function mainCf(path: string): Readonly<Record<string, string>> {
  return {
    compatibility_level: '3.6',
    queue_directory: join(path, 'queue'),
    data_directory: join(path, 'data'),
    command_directory: '/usr/sbin',
    daemon_directory: '/usr/lib/postfix/sbin',
    myhostname: 'mx.example.org',
    mydestination: 'example.org',
    local_recipient_maps: 'inline:{helpdesk=x, u1=x, u2=x, u3=x}',
    local_transport: 'discard',
    default_transport: 'discard',
    // This machine is none of them.
    mynetworks: '192.0.2.0/24',
    smtpd_relay_restrictions: 'permit_mynetworks, reject_unauth_destination',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    alias_maps: '',
    maillog_file: join(path, 'queue', 'log'),
    maillog_file_prefixes: path,
    smtpd_error_sleep_time: '0',
  }
}

function masterCf(port: number): string {
  return `127.0.0.1:${port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
discard unix - - n - - discard
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
`
}
