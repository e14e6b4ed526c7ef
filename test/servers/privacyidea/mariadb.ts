import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../free-port.ts'
import { runTool, runToolOk } from '../run-tool.ts'
import { makeTempDir } from '../temp-dir.ts'

const SETUP_TIMEOUT_MS = 120_000
const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 20_000
const POLL_MS = 100
const SETPRIV = '/usr/bin/setpriv'
const SERVER = '/usr/sbin/mariadbd'
const SCRIPT = fileURLToPath(new URL('mariadb.sh', import.meta.url))
const NAME = 'pi'

/** A throw-away MariaDB on a free port of loopback, with an empty database of the default collation. Stopped by pid when disposed. */
export interface MariaDb extends AsyncDisposable {
  /** For SQLAlchemy, with the driver that privacyIDEA's packages bring. */
  readonly uri: string
  readonly pid: number
}

export async function startMariaDb(): Promise<MariaDb> {
  const stack = new AsyncDisposableStack()
  try {
    const temp = stack.use(await makeTempDir('mariadb'))
    const { stdout } = await runToolOk('sh', [SCRIPT, temp.path], { timeoutMs: SETUP_TIMEOUT_MS })
    const port = await freePort()
    const server = spawned(temp.path, stdout.trim(), port)
    stack.defer(() => ended(server))
    const socket = join(temp.path, 'server.sock')
    const ask = (statement: string): ReturnType<typeof runTool> =>
      runTool('mariadb', ['--no-defaults', `--socket=${socket}`, '-u', 'root', '-e', statement])
    const deadlineMs = performance.now() + START_TIMEOUT_MS
    while ((await ask('select 1')).code !== 0) {
      if (server.exitCode !== null || performance.now() > deadlineMs) {
        throw new Error(`MariaDB did not start: ${await readFile(join(temp.path, 'server.log'), 'utf8')}`)
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
    for (const host of ['127.0.0.1', 'localhost']) {
      const { code, stderr } = await ask(
        `create database if not exists ${NAME}; create user ${NAME}@${host} identified by '${NAME}'; grant all on ${NAME}.* to ${NAME}@${host}`,
      )
      if (code !== 0) throw new Error(`MariaDB has no database: ${stderr}`)
    }
    const owned = stack.move()
    return {
      uri: `mysql+pymysql://${NAME}:${NAME}@127.0.0.1:${port}/${NAME}`,
      pid: server.pid ?? -1,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

function spawned(dir: string, user: string, port: number): ChildProcess {
  const server = [
    SERVER,
    '--no-defaults',
    `--user=${user}`,
    `--datadir=${join(dir, 'data')}`,
    `--socket=${join(dir, 'server.sock')}`,
    `--pid-file=${join(dir, 'data', 'pid')}`,
    `--log-error=${join(dir, 'server.log')}`,
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    // Small, and nothing is synced: it is thrown away.
    '--innodb-buffer-pool-size=32M',
    '--innodb-flush-log-at-trx-commit=0',
    '--skip-log-bin',
  ]
  // A change of the user takes the signal away, so that it is made before.
  const asUser = process.getuid?.() === 0 ? [`--reuid=${user}`, `--regid=${user}`, '--clear-groups'] : []
  const dying = existsSync(SETPRIV) ? [SETPRIV, ...asUser, '--pdeathsig', 'KILL'] : []
  const [program = '', ...rest] = [...dying, ...server]
  return spawn(program, rest, { stdio: 'ignore', cwd: dir })
}

async function ended(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const exit = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGTERM')
  const timer = setTimeout(() => server.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await exit
  clearTimeout(timer)
}
