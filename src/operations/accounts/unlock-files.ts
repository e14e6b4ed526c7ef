import { parseChangeLdif } from '../../core/ldif.ts'
import { waitingFile, waitingPath } from '../../ldif/layout.ts'
import { readText } from '../../ldif/plain-file.ts'
import type { AccountReport } from '../../store/reports/reports.ts'

/**
 * The files of `unlock/` that release an account, one for each of its holds: what `ls` shows there, and whose it is. A file
 * belongs to the account that its header names; one that is not there yet, or is another account's, is left out.
 * @returns paths below the LDIF folder; null: they cannot be read
 */
export function unlockFilesOf(dir: string, { key, holds }: Pick<AccountReport, 'key' | 'holds'>): string[] | null {
  try {
    return holds.flatMap(({ name }) => (isFileOf(dir, name, key) ? [`unlock/${waitingFile(name)}`] : []))
  } catch {
    return null
  }
}

function isFileOf(dir: string, name: string, key: string): boolean {
  const text = readText(waitingPath(dir, 'unlock', name))
  return text !== null && parseChangeLdif(text).header.account === key
}
