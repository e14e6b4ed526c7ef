import { readdirSync } from 'node:fs'
import { parseChangeLdif } from '../../core/ldif.ts'
import { waitingFile, waitingName, waitingPath } from '../../ldif/layout.ts'
import { readText } from '../../ldif/plain-file.ts'
import type { AccountReport } from '../../store/reports/reports.ts'

type Locked = Pick<AccountReport, 'key' | 'holds' | 'lockedByUs'>

/**
 * The files of `unlock/` that release an account: what `ls` shows there, and the owner of each. A file belongs to the
 * account that its header names; one that is not there yet, or is another account's, is left out. Where no hold is left
 * and our lock is still in effect, as while an unlock waits, the whole folder is read, once for all accounts.
 * @returns for each account paths below the LDIF folder; null: they cannot be read
 */
export function unlockFilesIn(dir: string): (account: Locked) => string[] | null {
  let all: ReadonlyMap<string, readonly string[]> | null = null
  return ({ key, holds, lockedByUs }) => {
    try {
      if (holds.length > 0) return holds.flatMap(({ name }) => (accountOf(dir, name) === key ? [shownPath(name)] : []))
      if (!lockedByUs) return []
      all ??= byAccount(dir)
      return [...(all.get(key) ?? [])]
    } catch {
      return null
    }
  }
}

function shownPath(name: string): string {
  return `unlock/${waitingFile(name)}`
}

function accountOf(dir: string, name: string): string | null {
  const text = readText(waitingPath(dir, 'unlock', name))
  return text === null ? null : (parseChangeLdif(text).header.account ?? null)
}

function byAccount(dir: string): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const name of readdirSync(`${dir}/unlock`)
    .toSorted()
    .flatMap((file) => waitingName(file) ?? [])) {
    const key = accountOrNull(dir, name)
    if (key !== null) found.set(key, [...(found.get(key) ?? []), shownPath(name)])
  }
  return found
}

/** An unreadable file does not affect the others. */
function accountOrNull(dir: string, name: string): string | null {
  try {
    return accountOf(dir, name)
  } catch {
    return null
  }
}
