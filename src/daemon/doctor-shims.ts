import { join } from 'node:path'
import { toAppError } from '../core/error.ts'
import type { Findings } from './finding.ts'
import { lookAtShims } from './shims-install.ts'

/** Where the packages for Debian and Ubuntu have privacyIDEA's script directory. */
const USUAL_DIR = '/etc/privacyidea/scripts'

/** @param dir null: looked at only where it is there with a shim in it, since privacyIDEA may be elsewhere */
export async function checkShims(found: Findings, dir: string | null, spool: string): Promise<void> {
  const folder = dir ?? USUAL_DIR
  const fix = `lockstep shims install ${folder} --spool ${spool}`
  try {
    const shims = await lookAtShims(folder, spool)
    const present = shims.filter((shim) => shim.state !== 'missing')
    if (dir === null && present.length === 0) return
    const bad = shims.filter((shim) => shim.state !== 'good')
    for (const { name, state } of bad) {
      const path = join(folder, name)
      if (state === 'missing') {
        found.fail('shims', {
          what: `${path} is missing`,
          why: 'privacyIDEA cannot call it: its events are lost.',
          fix,
        })
      } else if (state === 'not-executable') {
        found.fail('shims', {
          what: `${path} may not be executed by everybody`,
          why: 'privacyIDEA cannot start it: its events are lost.',
          fix: `chmod 755 ${path}`,
        })
      } else {
        found.warn('shims', {
          what: `${path} is not the script of this version, or writes into another spool than ${spool}`,
          why: 'Events may lie where nobody looks.',
          fix,
        })
      }
    }
    if (bad.length === 0) found.ok('shims', `the four scripts in ${folder} are ours, and write into ${spool}`)
  } catch (thrown) {
    const error = toAppError(thrown)
    found.fail('shims', {
      what: error.message,
      why: 'Whether events are handed over cannot be told.',
      fix: error.hint || fix,
      code: error.code,
    })
  }
}
