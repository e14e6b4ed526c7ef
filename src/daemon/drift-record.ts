import type { ResyncReport } from '../reconcile/resync-ports.ts'
import type { Store } from '../store/store.ts'

const FIRST_MAX = 5

/** Puts what a full resync found on record, where it found something. */
export async function recordDrift(store: Pick<Store, 'sourceState'>, report: ResyncReport): Promise<void> {
  const { tokens, accounts, differences, drift } = report
  if (differences === 0) return
  const first = drift
    .slice(0, FIRST_MAX)
    .map(({ account, serial, why }) => `${account}${serial === null ? '' : ` ${serial}`}: ${why}`)
  await store.sourceState.differed({ tokens, accounts, differences, first: first.join('; ') })
}
