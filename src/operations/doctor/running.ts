import { dryRunText } from '../../core/guards/guard.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { RunningConfig } from '../../store/servers/running-config.ts'
import { Findings, type Finding } from './findings.ts'
import { differenceFix, differenceOf, differenceText } from '../../app/running-beside.ts'

/** Whether the daemon works with the content of the file: all other checks of doctor use the file. */
export function runningFindings(
  file: Settings,
  running: RunningConfig | null,
  mistake: string | null,
): readonly Finding[] {
  if (running === null) return []
  const found = new Findings('the daemon')
  const { settings, loadedMs } = running
  const difference = differenceOf(settings, file)
  const when = new Date(loadedMs).toISOString()
  if (mistake !== null) {
    found.fail('configuration', {
      what: `the configuration file cannot be loaded: ${mistake}`,
      why: `The daemon works with what it loaded ${when}, and doctor tried that; the next start would fail.`,
      fix: 'lockstep check names what to correct; then: lockstep reload',
      code: 'config-invalid',
    })
  } else if (difference === null) found.ok('configuration', `it works with what ${file.file} says, loaded ${when}`)
  else {
    found.warn('configuration', {
      what: `${file.file}: ${differenceText(difference, Date.now())}; it works with what it loaded ${when}`,
      why: 'What doctor tries is what the file says, and not what the daemon does.',
      fix: differenceFix(difference),
    })
  }
  const dryRun = dryRunText(settings.guards.dryRun)
  if (dryRun !== null) {
    found.warn('dry-run', {
      what: `the daemon is on dry run: ${dryRun}`,
      why: 'What it plans is on record, and nothing of it is written.',
      fix: 'lockstep journal shows what would be written; end the dry run with guards.dryRun: false, then: lockstep reload',
    })
  }
  return found.all
}
