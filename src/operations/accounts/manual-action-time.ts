import type { AccountKey } from '../../core/names.ts'
import type { System } from '../../app/system.ts'

/**
 * The time of a manual action on an account, in microseconds since 1970: now, and later than every known manual action
 * on it. Another machine's clock may be ahead of ours; a new action takes effect after all earlier ones.
 */
export async function manualActionTimeUs(
  { store, clock }: Pick<System, 'store' | 'clock'>,
  key: AccountKey,
  login: string | null,
): Promise<number> {
  return Math.max(clock.nowMs() * 1000, (await store.maintenance.newestManualActionUs(key, login)) + 1)
}
