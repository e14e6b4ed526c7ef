import type { GuardSettings, PolicySettings, ResyncSettings } from '../../src/core/settings/settings.ts'

/** What a configuration says that leaves everything out, for worlds that are wired without a file. */
export const POLICY: PolicySettings = {
  onForeignUnlock: 'respect',
  lockWhen: 'any-token-locked',
  disabledTokens: 'ignore',
  revokedTokens: 'ignore',
  mirrorDirectoryLocks: 'off',
  lockTtlMs: null,
  lockBackoff: null,
  resetsTokenOnTtl: false,
}

/** Without a breaker of locks; that of losses is on, as it is where a configuration leaves it out. */
export const NO_GUARDS: GuardSettings = {
  dryRun: { isForAll: false, directories: [], realms: [] },
  breaker: null,
  lossBreaker: { maxLosses: 20, share: 0.1, perMs: 600_000, reset: 'manual' },
}

export const RESYNC: ResyncSettings = { scanMs: 5_000, fullMs: 900_000, shrinkLimit: 0.1 }
