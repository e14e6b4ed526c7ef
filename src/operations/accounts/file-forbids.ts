import { AppError } from '../../core/error.ts'
import { dryRunOf, dryRunReason, dryRunText } from '../../core/guards/guard.ts'
import { directoryOf, type AccountKey, type Realm } from '../../core/names.ts'
import { reasonText } from '../../core/reasons/reason.ts'
import type { Settings } from '../../core/settings/settings.ts'
import type { System } from '../../app/system.ts'

/**
 * The daemon carries out what a command puts on record, by the configuration that it loaded. Where the file has a wider
 * dry run or protection, a lock must not come on record: the stricter of both counts. An unlock is never refused by it.
 */

type Asked = Pick<System, 'settings' | 'store'> & { readonly directory: Pick<System['directory'], 'observe'> }

export interface WrittenAccount {
  readonly key: AccountKey
  readonly realm: Realm | null
  /** False: another kind of write, to which protection does not apply. */
  readonly isLocked: boolean
}

/**
 * Fails with `not-ready` where the file puts one of the accounts on dry run or protects it, and the daemon has not
 * loaded that.
 */
export async function refuseWhereFileForbids(system: Asked, accounts: readonly WrittenAccount[]): Promise<void> {
  const running = await system.store.running.read()
  if (running === null) return
  for (const account of accounts) {
    const why = await whyForbidden(system, running.settings, account)
    if (why !== null) throw notLoaded(system.settings.file, why)
  }
}

/**
 * For commands that let all waiting changes go on. Fails with `not-ready` where the file has a wider dry run than the
 * daemon loaded.
 */
export async function refuseWhereFileIsDrier(settings: Settings, store: System['store']): Promise<void> {
  const running = await store.running.read()
  const asked = dryRunText(settings.guards.dryRun)
  if (running === null || asked === null) return
  if (JSON.stringify(settings.guards.dryRun) === JSON.stringify(running.settings.guards.dryRun)) return
  throw notLoaded(settings.file, `dry run: ${asked}`)
}

async function whyForbidden(
  { settings, directory }: Asked,
  running: Settings,
  { key, realm, isLocked }: WrittenAccount,
): Promise<string | null> {
  const name = directoryOf(key)
  const dry = dryRunOf(settings.guards.dryRun, name, realm)
  if (dry !== null && dryRunOf(running.guards.dryRun, name, realm) === null) {
    return reasonText(dryRunReason(dry, []))
  }
  const own = protectOf(settings, name)
  if (!isLocked || own === protectOf(running, name)) return null
  const { protectedBy } = await directory.observe(key, [], 0)
  return protectedBy === null ? null : `the account is protected: ${protectedBy}`
}

function protectOf({ directories }: Settings, name: string): string {
  return JSON.stringify(directories.find((each) => each.name === name)?.protect)
}

function notLoaded(file: string, why: string): AppError {
  return new AppError('not-ready', `nothing is on record: ${file} says ${why}, and the daemon has not loaded that`, {
    hint: 'Next: lockstep reload, then give the command again.',
  })
}
