import type { AccountKey } from '../../core/names.ts'
import type { System } from '../../app/system.ts'

/**
 * The time of a person's word on an account, in microseconds since 1970: now, and newer than every word on it that is
 * known. Another machine's clock may be ahead of ours; what a person says is said with all of that in view.
 */
export async function manualActionTimeUs(
  { store, clock }: Pick<System, 'store' | 'clock'>,
  key: AccountKey,
  login: string | null,
): Promise<number> {
  return Math.max(clock.nowMs() * 1000, (await store.maintenance.newestManualActionUs(key, login)) + 1)
}
