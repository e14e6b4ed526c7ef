import type { DirectorySettings, Settings } from '../../core/settings/settings.ts'
import { directoryOf, splitAccountKey } from '../../core/names.ts'
import type { LockFinding } from '../../store/reports/verification-reports.ts'
import type { Findings } from './findings.ts'
import { whyNoStore, openStoreOf } from '../../app/state-store.ts'

/** The record of the locks of a directory: whether each is there and enforced on every server. */

const SHOWN_MAX = 5
const READ_MAX = 1_000

const WHY: Readonly<Record<LockFinding['kind'], string>> = {
  'not-effective': 'The lock is written and is not enforced there.',
  missing: 'Its user is let in by that server.',
  'still-locked': 'Its user is locked out by that server.',
  removed: 'The account is open although its token was locked.',
}

export async function checkLocks(found: Findings, settings: Settings, { name }: DirectorySettings): Promise<void> {
  if (whyNoStore(settings) !== null) return
  await using store = await openStoreOf(settings, false)
  const { findings } = await store.reports.lockFindings(READ_MAX)
  const own = findings.filter(({ account }) => {
    const key = splitAccountKey(account)?.key
    return key !== undefined && directoryOf(key) === name
  })
  for (const { kind, dn, reason, fix } of own.slice(0, SHOWN_MAX)) {
    found[kind === 'removed' ? 'warn' : 'fail']('locks', { what: `${dn}: ${reason}`, why: WHY[kind], fix })
  }
  if (own.length > SHOWN_MAX) {
    const fix = 'lockstep status, and lockstep show LOGIN'
    found.warn('locks', { what: `${own.length - SHOWN_MAX} more locks like these`, why: 'As above.', fix })
  }
}
