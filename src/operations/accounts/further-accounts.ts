import { AppError, type ErrorCode } from '../../core/error.ts'
import { directoryOf, parseLogin, parseRealm, splitAccountKey, type DirectoryName } from '../../core/names.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { openDirectories } from '../../directory/open-directories.ts'
import { systemClock } from '../../ports/clock.ts'
import type { FurtherAnswer } from '../../ports/directory.ts'

/** An account of the same login in another directory of its realm: shown, and never locked. */
export interface FurtherAccount {
  readonly directory: DirectoryName
  /** Null: the directory could not be searched. */
  readonly dn: string | null
  /** Why it could not be searched; null: it answered. */
  readonly code: ErrorCode | null
  readonly reason: string
}

/** The directories are searched only where the realm has several. Never fails. */
export async function furtherAccountsOf(
  settings: Settings,
  account: { readonly key: string; readonly login: string | null; readonly realm: string | null },
): Promise<readonly FurtherAccount[]> {
  const key = splitAccountKey(account.key)?.key
  const [login, realm] = [parseLogin(account.login ?? ''), parseRealm(account.realm ?? '')]
  if (key === undefined || login === null || realm === null) return []
  const names = settings.realms[realm] ?? []
  if (names.length < 2 || !names.includes(directoryOf(key))) return []
  await using directories = openDirectories(settings, systemClock)
  return (await directories.findElsewhere(key, login, realm)).flatMap(reportOf)
}

function reportOf({ directory, found }: FurtherAnswer): FurtherAccount[] {
  if (found === null) return []
  if (found instanceof AppError) return [{ directory, dn: null, code: found.code, reason: found.message }]
  return [{ directory, dn: found.dn, code: null, reason: '' }]
}
