import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runTool } from '../servers/run-tool.ts'
import { makeTempDir } from '../servers/temp-dir.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** For a machine that stands still. */
const TIMEOUT_MS = 280_000
const TESTS = fileURLToPath(new URL('failing-tests.ts', import.meta.url))

function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`)
}

test('when a test fails its servers are stopped and their folders are removed', async () => {
  await using temp = await makeTempDir('fixture')
  const [config, started] = [join(temp.path, 'vitest.config.mjs'), join(temp.path, 'started.json')]
  writeFileSync(
    config,
    `export default ${JSON.stringify({ root: ROOT, test: { include: [TESTS], testTimeout: 300_000 } })}`,
  )
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
  const args = [vitest, 'run', '--root', ROOT, '--config', config]
  const ran = await runTool(process.execPath, args, { env: { LOCKSTEP_TEST_STARTED: started }, timeoutMs: TIMEOUT_MS })
  expect({ code: ran.code, text: ran.stdout }).toEqual({ code: 1, text: expect.stringContaining('1 failed') })
  const { pids, dirs } = JSON.parse(readFileSync(started, 'utf8')) as { pids: number[]; dirs: string[] }
  expect(pids.filter((pid) => pid > 0)).toHaveLength(3)
  expect(pids.filter(isRunning)).toEqual([])
  // A server that only its runner's end ended would have left its folder.
  expect(dirs.filter((dir) => existsSync(dir))).toEqual([])
})
