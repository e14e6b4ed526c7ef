import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { INSTALL_TIMEOUT_MS } from '../../servers/privacyidea/privacyidea.ts'
import { runTool } from '../../servers/run-tool.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'

const SCRIPT = fileURLToPath(new URL('../../../demo/dev.ts', import.meta.url))
const NODE_OPTIONS = ['--disable-warning=ExperimentalWarning']

test(
  'npm run dev sets Lockstep up between two servers, runs it from the source, and leaves no process',
  { timeout: INSTALL_TIMEOUT_MS },
  async () => {
    await using temp = await makeTempDir('dev')
    const folder = join(temp.path, 'dev')
    const dev = spawn(process.execPath, [...NODE_OPTIONS, SCRIPT, folder], { stdio: ['ignore', 'pipe', 'pipe'] })
    const closed = once(dev, 'close')
    let said = ''
    for (const stream of [dev.stdout, dev.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
    try {
      const isReady = () => /info ready pid=\d+/.test(said) || dev.exitCode !== null
      await eventually('the daemon serves', isReady, INSTALL_TIMEOUT_MS)
      expect(dev.exitCode, said).toBe(null)
      const script = `. ${folder}/env
pi_admin /token/init -d type=hotp -d genkey=1 -d serial=OATH1 -d user=alice -d realm=r1 -d pin=1234`
      expect((await runTool('sh', ['-c', script])).stdout).toContain('"status":true')
      await eventually('the account carries the serial', async () => {
        const shown = await runTool('sh', ['-c', `. ${folder}/env; lockstep show alice`])
        return /serials +OATH1/.test(shown.stdout)
      })
    } finally {
      dev.kill('SIGINT')
    }
    expect(await closed).toEqual([0, null])
    const pid = Number(/info ready pid=(\d+)/.exec(said)?.[1])
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/)
  },
)

test('npm run dev empties no folder that is not its own', async () => {
  await using temp = await makeTempDir('dev')
  const folder = join(temp.path, 'mine')
  mkdirSync(folder)
  writeFileSync(join(folder, 'thesis'), '')
  const { code, stderr } = await runTool(process.execPath, [...NODE_OPTIONS, SCRIPT, folder])
  expect(code).toBe(64)
  expect(stderr).toBe(`${folder} holds something else: name an empty folder, or one that does not exist\n`)
  expect(existsSync(join(folder, 'thesis'))).toBe(true)
})
