import type { AccountKey, Serial } from '../../core/names.ts'
import type { AuthoredSerialTable } from '../schema/schema.ts'
import type { WriteScope } from '../engine/store-writer.ts'

/** How a serial came to be ours at an account. */
export type HowOurs = Exclude<AuthoredSerialTable['how'], 'named' | 'settled'>

/** In front of a directory's name: the key of `meta` for its accounts that were locked when it was first read. */
export const LOCKED_BEFORE = 'locked-before '

/** The key of `meta` that an upgrade leaves: the files in `unregister/` show what the store wrote. */
export const FILES_DUE = 'authorship-of-files'

/** From now on Lockstep may remove the serial from the account. */
export async function authorSerial(
  { hot, on }: WriteScope,
  key: AccountKey,
  serial: Serial,
  how: HowOurs,
  nowMs: number,
): Promise<void> {
  await hot.authorSerial.run(on, { account_key: key, serial, how, at_ms: nowMs })
}
