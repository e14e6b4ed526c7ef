import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { filesOfParts, listOfParts } from './test-part.ts'

/**
 * `npm run test:e2e -- PART`: the tests of the whole program against real servers. PART is a folder of test/e2e or a part of a
 * name there; several may be given, without one all run. Options go to vitest: `npm run test:e2e -- drain -t "empty"`.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const EXIT_USAGE = 64
const EXIT_SIGNALLED = 128 + 15

async function main(): Promise<number> {
  const args = process.argv.slice(2)
  const firstOption = args.findIndex((arg) => arg.startsWith('-'))
  const parts = firstOption === -1 ? args : args.slice(0, firstOption)
  const options = args.slice(parts.length)
  const files = readdirSync(join(ROOT, 'test', 'e2e'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .toSorted()
  const chosen = filesOfParts(files, parts)
  if (chosen === null) {
    process.stderr.write(`no test of test/e2e has ${parts.join(' or ')} in its name; there are:\n${listOfParts(files)}`)
    return EXIT_USAGE
  }
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
  const paths = chosen.map((file) => `test/e2e/${file}`)
  const child = spawn(process.execPath, [vitest, 'run', ...paths, ...options], { cwd: ROOT, stdio: 'inherit' })
  // Ctrl-C reaches both; what is sent to this process alone is passed on.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  await once(child, 'exit')
  return child.exitCode ?? EXIT_SIGNALLED
}

process.exitCode = await main()
