import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually } from '../eventually.ts'
import { makeTempDir } from '../temp-dir.ts'

/**
 * A Debian on which slapd was just installed, in namespaces of its own over the files of this machine: commands with
 * absolute paths run in it as they stand on a page, and this machine stays as it is. Takes root.
 */

const SCRIPT = fileURLToPath(new URL('stock-debian.sh', import.meta.url))
const SHELL_SCRIPT = fileURLToPath(new URL('stock-debian-shell.sh', import.meta.url))
/** A block of a page may install packages. */
const BLOCK_TIMEOUT_MS = 240_000

export interface StockDebian extends AsyncDisposable {
  /** A folder outside of it that both see. */
  readonly shared: string
  /** A shell of root at a terminal in it. @param network that of this machine where packages are fetched, else its own */
  shell(cwd: string, network?: 'own' | 'machine'): Promise<PageShell>
  /** A program in it that runs until it is ended with it. */
  start(command: readonly string[]): ChildProcess
}

export interface BlockResult {
  /** All that the terminal showed. */
  readonly shown: string
  /** The commands that failed, each with its exit code before it. */
  readonly failed: readonly string[]
}

export interface PageShell extends AsyncDisposable {
  /** Runs a block to its end. @param answers to what is asked, by the text of the question; each may be asked for again and again */
  run(block: string, answers?: readonly (readonly [question: string, answer: string])[]): Promise<BlockResult>
}

/** @param options.domain what slapd's suffix is named for; `ldap.DOMAIN` is this machine */
export async function startStockDebian(options: { domain: string; adminPassword: string }): Promise<StockDebian> {
  const stack = new AsyncDisposableStack()
  const { path } = stack.use(await makeTempDir('stock-debian'))
  const changes = join(path, 'changes')
  mkdirSync(changes)
  const namespaces = ['--mount', '--pid', '--net', '--fork', '--kill-child', '--mount-proc']
  const command = [...namespaces, 'bash', SCRIPT, changes, options.domain, options.adminPassword]
  const child = spawn('unshare', command, { stdio: 'pipe' })
  const shown = collect(child)
  stack.defer(async () => {
    const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null
    child.stdin.end()
    await ended
  })
  const isReady = () => shown().includes('ready\n')
  await eventually('slapd is set up as its package does it', () => isReady() || child.exitCode !== null)
  if (!isReady()) {
    await stack.disposeAsync()
    throw new Error(`no private Debian: ${shown()}`)
  }
  const init = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()
  const enter = (cwd: string, network: 'own' | 'machine') => [
    ...['-t', init, '--mount', '--pid', ...(network === 'own' ? ['--net'] : [])],
    ...['sh', '-c', 'cd "$0" && exec "$@"', cwd],
  ]
  return {
    shared: path,
    shell: (cwd, network = 'own') => openShell(path, enter(cwd, network)),
    start: (program) =>
      spawn('nsenter', [...enter('/', 'own'), ...program], { stdio: 'ignore', env: loginEnvironment() }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

let shells = 0

async function openShell(shared: string, enter: readonly string[]): Promise<PageShell> {
  const fifo = join(shared, `blocks-${++shells}`)
  execFileSync('mkfifo', ['-m', '600', fifo])
  const script = join(shared, 'shell.sh')
  copyFileSync(SHELL_SCRIPT, script)
  // script(1) of bsdutils gives the shell a terminal; without the echo of what is typed at it.
  const typed = `stty -echo; exec bash '${script}' '${fifo}'`
  const child = spawn('nsenter', [...enter, 'script', '-qefc', typed, '/dev/null'], {
    stdio: 'pipe',
    env: loginEnvironment(),
  })
  const shown = collect(child)
  const blocks = await open(fifo, 'w')
  return {
    run: (block, answers = []) => runBlock({ child, shown, blocks }, block, answers),
    async [Symbol.asyncDispose]() {
      const ended = child.exitCode === null ? once(child, 'exit') : null
      await blocks.close()
      await ended
    },
  }
}

/** That of root who has just logged in: without what npm adds for its scripts, such as this checkout's own Node.js. */
function loginEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:npm_|INIT_CWD$|NODE$|VITEST|LOCKSTEP_)/i.test(name))
  const folders = (process.env['PATH'] ?? '').split(':').filter((folder) => !/node_modules|node-gyp/.test(folder))
  const path = [...new Set([...folders, '/usr/local/sbin', '/usr/sbin', '/sbin'])].join(':')
  return { ...Object.fromEntries(kept), PATH: path, TERM: 'dumb', SHELL: '/bin/bash' }
}

async function runBlock(
  shell: { child: ChildProcess; shown: () => string; blocks: FileHandle },
  block: string,
  answers: readonly (readonly [question: string, answer: string])[],
): Promise<BlockResult> {
  let from = shell.shown().length
  let all = ''
  const answer = (): boolean => {
    const screen = shell.shown().slice(from)
    const asked = answers.find(([question]) => screen.includes(question))
    if (asked === undefined) return false
    const end = screen.indexOf(asked[0]) + asked[0].length
    all += screen.slice(0, end)
    from += end
    shell.child.stdin?.write(`${asked[1]}\n`)
    return true
  }
  const isDone = () => shell.shown().slice(from).includes('@@done\n')
  await shell.blocks.write(`${block}\0`)
  const what = `the end of a block:\n${block}`
  await eventually(what, () => !answer() && (isDone() || shell.child.exitCode !== null), BLOCK_TIMEOUT_MS)
  if (!isDone()) throw new Error(`the shell ended in a block:\n${block}\n${shell.shown().slice(from)}`)
  all += shell.shown().slice(from)
  const lines = all.split('\n')
  return {
    shown: lines.filter((line) => !line.startsWith('@@')).join('\n'),
    failed: lines.filter((line) => line.startsWith('@@failed ')).map((line) => line.slice('@@failed '.length)),
  }
}

function collect(child: ChildProcess): () => string {
  let shown = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => (shown += chunk.toString().replaceAll('\r', '')))
  }
  return () => shown
}
