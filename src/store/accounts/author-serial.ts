import type { AccountKey, Serial } from '../../core/names.ts'
import type { AuthoredSerialTable } from '../schema/schema.ts'
import type { WriteScope } from '../engine/store-writer.ts'

/** How a serial came to be ours at an account. */
export type HowOurs = Exclude<AuthoredSerialTable['how'], 'named' | 'settled'>

/** In front of a directory's name: the key of `meta` under which its accounts stand that were locked when it was met. */
export const LOCKED_BEFORE = 'locked-before '

/** The key of `meta` that an upgrade leaves: what waits in `unregister/` says what the store wrote. */
export const FILES_DUE = 'authorship-of-files'

/** From now on the serial is ours to take off the account. */
export async function authorSerial(
  { hot, on }: WriteScope,
  key: AccountKey,
  serial: Serial,
  how: HowOurs,
  nowMs: number,
): Promise<void> {
  await hot.authorSerial.run(on, { account_key: key, serial, how, at_ms: nowMs })
}
