import { healthGravity, healthText, type HealthReason } from '../../core/health/health.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { Findings, troubleOf, type Finding } from './findings.ts'
import { readHealth } from '../../app/health/health-signs.ts'
import { whyNoStore, openStoreOf } from '../../app/state-store.ts'

/** The judgement of `status` on the daemon and its work, as findings of the doctor, so that both report the same. */

/** Before the first start no daemon serves; doctor's own checks are reported by their own findings. */
const REPORTED_ELSEWHERE: readonly HealthReason['code'][] = [
  'disk-full',
  'spool-closed',
  'server-trouble',
  'losses-in-review',
]

export async function healthFindings(settings: Settings): Promise<readonly Finding[]> {
  const found = new Findings('the daemon')
  const missing = whyNoStore(settings)
  if (missing !== null) {
    found.skip('health', {
      what: `what waits and what fails: not looked at, since ${missing}`,
      why: 'Whether the daemon does its work is not known.',
      fix: 'After the first start, as root or as the user of the service: lockstep doctor',
    })
    return found.all
  }
  try {
    await using store = await openStoreOf(settings, false)
    const { reasons, served, lastDrain } = await readHealth(settings, store, null)
    const hasBegun = served !== null || lastDrain !== null
    const shown = reasons.filter(
      ({ code }) => !REPORTED_ELSEWHERE.includes(code) && (code !== 'not-served' || hasBegun),
    )
    for (const reason of shown) report(found, reason)
    if (shown.length === 0) found.ok('health', 'nothing waits and nothing fails (lockstep status)')
  } catch (thrown) {
    found.warn('health', troubleOf(thrown, 'Whether something waits or fails is not known.'))
  }
  return found.all
}

function report(found: Findings, reason: HealthReason): void {
  const isCritical = healthGravity(reason) === 'critical'
  found[isCritical ? 'fail' : 'warn'](reason.code, {
    what: healthText(reason),
    why: isCritical
      ? 'Until it is mended, accounts are not locked and unlocked as they should be.'
      : 'It waits for somebody.',
    fix: FIXES[reason.code] ?? 'lockstep status shows it in full, with the next step',
  })
}

const FIXES: Readonly<Partial<Record<HealthReason['code'], string>>> = {
  'not-served': 'systemctl start lockstep',
  'daemon-died': 'journalctl -u lockstep shows why; then: systemctl start lockstep',
  'report-old': 'journalctl -u lockstep; where the daemon hangs: systemctl restart lockstep',
  'store-gone': 'journalctl -u lockstep shows which file; the next start goes on with what lies there then',
  'store-not-written': 'Make room on the disk of the store; it goes on by itself.',
  'intake-fails': 'Make room on the disk of the store; events in the spool are taken by themselves.',
  'spool-old': 'journalctl -u lockstep shows why they are not taken',
  'files-not-written': 'Make room on the disk of ldif.dir; it goes on by itself.',
}
