import { copyFileSync, cpSync, mkdirSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url))
/** nobody:nogroup */
export const UNPRIVILEGED = 65_534

/** The checkout may lie where only root can look: the program and its Node.js are copied to where everybody can. */
export async function programForEverybody(dir: string): Promise<readonly string[]> {
  await chmod(dir, 0o755)
  const node = join(dir, 'node')
  copyFileSync(process.execPath, node)
  await chmod(node, 0o755)
  mkdirSync(join(dir, 'package'), { mode: 0o755 })
  for (const folder of ['dist', 'shims']) {
    cpSync(join(CHECKOUT, folder), join(dir, 'package', folder), {
      recursive: true,
      filter: (source) => !source.endsWith('.cache'),
    })
  }
  return [node, '--disable-warning=ExperimentalWarning', join(dir, 'package', 'dist', 'lockstep.js')]
}
