import { counted } from '../../../core/format/counted.ts'
import { join } from 'node:path'
import { toAppError } from '../../../core/error.ts'
import type { Settings } from '../../../core/settings/settings.ts'
import { troubleOf, type Findings } from '../findings.ts'
import { lookAtShims } from '../../setup/shims-install.ts'
import { arrivalsOf, type ShimsTrial } from '../../setup/shims-trial.ts'

/** privacyIDEA's script directory in the packages for Debian and Ubuntu. */
export const USUAL_SCRIPTS_DIR = '/etc/privacyidea/scripts'

export interface ShimsLook {
  /** Null: checked only where the usual one has a shim, since privacyIDEA may be elsewhere. */
  readonly dir: string | null
  /** The result of running them; null: they were not run. */
  readonly trial: ShimsTrial | null
}

/** The state of the scripts that event handlers call. */
export type ShimsState =
  | { readonly is: 'good' }
  /** Reported by findings of their own, the worst of which is this. */
  | { readonly is: 'fail' | 'warn' }
  /** They were not checked or run: nothing is known. */
  | { readonly is: 'untried'; readonly what: string; readonly fix: string }

export const WHY_UNTRIED = 'Whether privacyIDEA can call them shows with the first event.'

export async function checkShims(found: Findings, look: ShimsLook, settings: Settings): Promise<ShimsState> {
  const { dir, trial } = look
  const before = found.all.length
  const areThere = await checkFiles(found, dir, settings.intake.spool)
  if (!areThere) return notLookedAt(dir ?? USUAL_SCRIPTS_DIR)
  const user = trial?.user ?? null
  if (trial !== null && user !== null) await checkTrial(found, trial, user, settings)
  const own = found.all.slice(before)
  if (own.some(({ status }) => status === 'fail')) return { is: 'fail' }
  if (own.some(({ status }) => status === 'warn')) return { is: 'warn' }
  if (trial === null) return { is: 'good' }
  return trial.user === null ? notRun(trial) : { is: 'good' }
}

function notLookedAt(dir: string): ShimsState {
  return {
    is: 'untried',
    what: `the scripts were not looked at: there are none in ${dir}, and --scripts-dir names no other folder`,
    fix: 'On the machine of privacyIDEA: sudo lockstep doctor --scripts-dir DIR (PI_SCRIPT_HANDLER_DIRECTORY of its pi.cfg)',
  }
}

function notRun({ dir, why }: ShimsTrial): ShimsState {
  return {
    is: 'untried',
    what: `the scripts in ${dir} were not run: ${why}`,
    fix: `sudo lockstep doctor --scripts-dir ${dir} --pi-user USER`,
  }
}

async function checkTrial(found: Findings, trial: ShimsTrial, user: string, settings: Settings): Promise<void> {
  const { runs, dir } = trial
  const again = `lockstep shims test ${dir}`
  const verdicts = await arrivalsOf(settings, trial)
  for (const { name, is, trouble } of verdicts) {
    if (is !== 'failed') continue
    found.fail('shims-run', {
      what: `${join(dir, name)}, run as ${user}: ${trouble}`,
      why: 'privacyIDEA’s events do not arrive this way.',
      fix: `Mend that, and try it again: sudo ${again} --pi-user ${user}`,
    })
  }
  const failed = verdicts.filter(({ is }) => is === 'failed').length
  if (failed > 0 || runs.length === 0) return
  const where = verdicts.every(({ is }) => is === 'arrived') ? 'on record' : 'in the spool, and no daemon runs'
  found.ok(
    'shims-run',
    `run as ${user}, ${counted(runs.length, 'script')} handed over ${runs.length === 1 ? 'its event' : 'their events'}, now ${where}`,
  )
}

/** @returns false where no folder was named and the usual one has none, or may not be read */
async function checkFiles(found: Findings, dir: string | null, spool: string): Promise<boolean> {
  const folder = dir ?? USUAL_SCRIPTS_DIR
  const fix = `lockstep shims install ${folder} --spool ${spool}`
  try {
    const shims = await lookAtShims(folder, spool)
    const present = shims.filter((shim) => shim.state !== 'missing')
    if (dir === null && present.length === 0) return false
    if (present.length === 0) {
      found.fail('shims', {
        what: `there are no scripts of Lockstep in ${folder}`,
        why: 'privacyIDEA calls nothing there: its events are lost.',
        fix: `Correct --scripts-dir, or: ${fix}`,
      })
      return true
    }
    const bad = shims.filter((shim) => shim.state !== 'good')
    for (const { name, state } of bad) {
      const path = join(folder, name)
      if (state === 'missing') {
        const why = 'privacyIDEA cannot call it: its events are lost.'
        found.fail('shims', { what: `${path} is missing`, why, fix })
      } else if (state === 'not-executable') {
        const why = 'privacyIDEA cannot start it: its events are lost.'
        found.fail('shims', { what: `${path} may not be executed by everybody`, why, fix: `chmod 755 ${path}` })
      } else {
        const what = `${path} is not the script of this version, or writes into another spool than ${spool}`
        found.warn('shims', { what, why: 'Events may lie where nobody looks.', fix })
      }
    }
    if (bad.length === 0) found.ok('shims', `the four scripts in ${folder} are ours, and write into ${spool}`)
  } catch (thrown) {
    const error = toAppError(thrown)
    if (dir === null && error.code === 'file-not-permitted') return false
    found.fail('shims', troubleOf(error, 'Whether events are handed over cannot be determined.', fix))
  }
  return true
}
