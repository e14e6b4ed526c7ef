import { dirname } from 'node:path'
import { AppError, toAppError } from '../core/error.ts'
import type { Settings } from '../core/settings.ts'
import { systemClock, type Clock } from '../ports/clock.ts'
import { makeFolder } from './private-file.ts'
import { openStore, type Store } from '../store/store.ts'

/** Opens the store alone: enough for commands that only look, which then load nothing else. */
export async function openStoreOf(settings: Settings, willWrite: boolean, clock: Clock = systemClock): Promise<Store> {
  const { file } = settings.store
  try {
    makeFolder(dirname(file), 0o750)
  } catch (thrown) {
    const { message } = toAppError(thrown)
    throw new AppError('file-not-permitted', `cannot create the folder of the store: ${message}`, {
      cause: thrown,
      hint: 'Create it, and give it to the user that runs Lockstep (key store).',
    })
  }
  return openStore({
    file,
    clock,
    lockTtlMs: settings.policy.lockTtlMs,
    lockBackoff: settings.policy.lockBackoff,
    breaker: settings.guards.breaker,
    willWrite,
  })
}
