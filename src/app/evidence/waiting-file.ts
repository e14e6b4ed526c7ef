import { timeUs } from '../../core/events/evidence.ts'
import { parseChangeLdif, writeChangeLdif, type ChangeLdif } from '../../core/ldif.ts'
import {
  parseHoldName,
  parseLogin,
  parseRealm,
  splitAccountKey,
  type AccountKey,
  type Dn,
  type HoldName,
} from '../../core/names.ts'
import { releaseOf } from '../../core/account/slot.ts'
import type { OwnedLock, OwnedSlot } from '../../core/account/state.ts'
import type { LdifPort, PendingLdif } from '../../ports/ldif.ts'
import { writePending } from '../../reconcile/ledger/ledger.ts'

/** A waiting file, read back. */
export interface WaitingFile extends ChangeLdif {
  readonly name: HoldName
  readonly key: AccountKey
  readonly takenAtUs: number
  /** When the hold ends by itself; null: it does not. */
  readonly untilUs: number | null
}

/** Null when there is none. Fails with an Error that states what is wrong with it. */
export async function readWaitingFile(
  ldif: LdifPort,
  folder: PendingLdif['folder'],
  text: string,
): Promise<WaitingFile | null> {
  const name = parseHoldName(text)
  const file = name === null ? null : await ldif.readPending(folder, name)
  if (name === null || file === null) return null
  const { header, entries } = parseChangeLdif(file)
  const key = splitAccountKey(header.account)?.key
  if (key === undefined) throw new Error('its header names no account')
  const takenAtUs = timeUs(header.at)
  if (takenAtUs === null) throw new Error('its header names no time')
  return { name, key, header, entries, takenAtUs, untilUs: timeUs(header.until) }
}

/** The lock that these files revert together. */
export function ownedLock(slots: readonly OwnedSlot[], dn: Dn, waiting: readonly WaitingFile[]): OwnedLock {
  const ends = waiting.flatMap(({ name, untilUs }) => (untilUs === null ? [] : [[name, untilUs] as const]))
  const holds = waiting.map(({ name }) => name)
  return { slots, dn, holds, ...(ends.length === 0 ? {} : { ends: Object.fromEntries(ends) }) }
}

/** Makes the file revert what is ours now, by the present names: it is written anew where it does not. */
export async function fitFile(
  ldif: LdifPort,
  owned: OwnedLock,
  { name, key, header, entries, takenAtUs }: WaitingFile,
  keepsOld: boolean,
): Promise<void> {
  if (writeChangeLdif(entries, header) === writeChangeLdif(releaseOf(owned.slots), header)) return
  if (keepsOld) await ldif.dropPending('unlock', name, 'applied', key)
  const whose = { key, login: parseLogin(header.login), realm: parseRealm(header.realm) }
  await writePending(ldif, whose, { ...owned, holds: [name] }, takenAtUs / 1000, true)
}
