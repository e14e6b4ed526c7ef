import { execFileSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Before all tests: the bundle is made where it is missing or older than its sources, since tests run the program. */
export function setup(): void {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const built = statSync(`${root}/dist/lockstep.js`, { throwIfNoEntry: false })
  if (built !== undefined && built.mtimeMs > Math.max(newestMs(`${root}/src`), newestMs(`${root}/templates`))) return
  execFileSync('sh', [`${root}/scripts/build.sh`], { stdio: 'inherit' })
}

function newestMs(folder: string): number {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return Math.max(...names.map((name) => statSync(`${folder}/${name}`, { throwIfNoEntry: false })?.mtimeMs ?? 0))
}
