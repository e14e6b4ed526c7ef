import { accessSync, constants, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { AppError, toAppError } from '../core/error.ts'
import type { Settings } from '../core/settings/settings.ts'
import { errnoOf, isThere } from '../core/system-error.ts'
import { systemClock, type Clock } from '../ports/clock.ts'
import { makeFolder } from './private-file.ts'
import { refuseOtherStore } from './store-mark.ts'
import { openStore, type Store, type StoreOptions, type StoreRules } from '../store/store.ts'

/** Internal, for tests that stop a process for longer than its lease: its length in milliseconds. */
const LEASE_VARIABLE = 'LOCKSTEP_INTERNAL_LEASE_MS'

function leaseOf(env: NodeJS.ProcessEnv): { leaseMs?: number } {
  const leaseMs = Number(env[LEASE_VARIABLE] ?? '')
  return Number.isInteger(leaseMs) && leaseMs > 0 ? { leaseMs } : {}
}

/**
 * As openStoreOf, for commands that create no store; null where there is none. Fails with `file-not-permitted` where
 * that cannot be seen.
 */
export async function openStoreIfAny(settings: Settings): Promise<Store | null> {
  return isThere(settings.store.file, statSync) ? openStoreOf(settings, false) : null
}

/**
 * For the doctor: why the store is not read; null: it can be. The obstacle itself is a finding of `machineFindings`.
 */
export function whyNoStore({ store: { file } }: Pick<Settings, 'store'>): string | null {
  try {
    for (const path of [file, dirname(file)]) accessSync(path, constants.R_OK | constants.W_OK)
    return null
  } catch (thrown) {
    return errnoOf(thrown) === 'ENOENT' ? `there is no store yet (${file})` : `this user may not use ${file}`
  }
}

/**
 * Opens the store alone: enough for commands that only read, which then load nothing else. Fails with `config-invalid`
 * where the folders belong to another store: see refuseOtherStore.
 */
export async function openStoreOf(settings: Settings, willWrite: boolean, clock: Clock = systemClock): Promise<Store> {
  const { file } = settings.store
  refuseOtherStore(settings)
  try {
    makeFolder(dirname(file), 0o750)
  } catch (thrown) {
    const { message, code } = toAppError(thrown)
    // Another path is wanted, and the configuration sets it.
    throw new AppError(
      code === 'usage' ? 'config-invalid' : code,
      `cannot create the folder of the store: ${message}`,
      {
        cause: thrown,
        hint: 'Create it, and give it to the user that runs Lockstep (key store).',
      },
    )
  }
  return openStore(storeOptionsOf(settings, willWrite, clock))
}

export function storeOptionsOf(
  settings: Pick<Settings, 'store' | 'policy' | 'guards'>,
  willWrite: boolean,
  clock: Clock,
): StoreOptions {
  return { file: settings.store.file, clock, ...storeRulesOf(settings), ...leaseOf(process.env), willWrite }
}

/** The parts of the configuration that the store's decisions depend on. */
export function storeRulesOf({ policy, guards }: Pick<Settings, 'policy' | 'guards'>): StoreRules {
  const { lockTtlMs, lockBackoff } = policy
  return { lockTtlMs, lockBackoff, breaker: guards.breaker, lossBreaker: guards.lossBreaker }
}
