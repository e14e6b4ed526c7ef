import { parseSerial } from '../../core/names.ts'
import { serialKey, type SerialKey } from '../../core/serials/serial-key.ts'
import { headerOf, writeChangeLdif } from '../../core/ldif.ts'
import { toAppError } from '../../core/error.ts'
import type { PendingLdif } from '../../ports/ldif.ts'
import { writePending } from '../../reconcile/ledger/ledger.ts'
import { errorFields, type Log } from '../../app/log.ts'
import { delay } from '../../ports/delay.ts'
import type { System } from '../../app/system.ts'

/** LDIF folders that vanish or are replaced while they are in use are made again, with the waiting files on record. */

const LOOK_MS = 2_000
const NAMES_MAX = 10

type KeptSystem = Pick<System, 'store' | 'ldif' | 'clock'>

/**
 * @param onMadeAgain called when the folders are others than before
 * @param stop ends it
 */
export async function keepFolders(
  system: KeptSystem,
  onMadeAgain: () => void,
  log: Log,
  stop: AbortSignal,
): Promise<void> {
  let failing = ''
  /** Folders whose files are still to be written again. */
  let changed: readonly string[] = []
  while (!stop.aborted) {
    try {
      changed = [...new Set([...changed, ...(await system.ldif.changedFolders())])]
      if (changed.length > 0) {
        onMadeAgain()
        await writeAgain(system, changed)
      }
      changed = []
      failing = ''
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code !== failing) log.error('the LDIF folders cannot be used', errorFields(error))
      failing = error.code
    }
    await delay(LOOK_MS, stop)
  }
}

async function writeAgain({ store, ldif, clock }: KeptSystem, folders: readonly string[]): Promise<void> {
  let written = 0
  for await (const account of store.maintenance.ownedAccounts()) {
    const { key, owned } = account
    await writePending(ldif, account, owned, clock.nowMs(), false)
    // Work on the account meanwhile may have removed the file: the account is compared with the record once more.
    await store.queue.markForRepair(key, clock.nowMs())
    written += owned.holds.length
  }
  const there = new Set((await ldif.listPending('unregister')).flatMap((name) => serialKeyOf(name) ?? []))
  let lost = 0
  for await (const { serial, change } of store.maintenance.registrations()) {
    if (there.has(serialKey(serial))) continue
    if (change?.serial === null || change === null) lost++
    else {
      const { id, key: account, plannedAtMs: atMs, actor, owner, reason, inverse } = change
      const header = headerOf({ atMs, event: 'unregister', actor, owner, account, change: id, reason })
      const file: PendingLdif = {
        folder: 'unregister',
        name: change.serial,
        account,
        text: writeChangeLdif(inverse, header),
      }
      await ldif.ensurePending(file)
      written++
    }
  }
  const params = { folders: folders.slice(0, NAMES_MAX), written, lost }
  await store.findings.raise({ subject: '', reason: { code: 'folders-made-again', params } })
}

function serialKeyOf(name: string): SerialKey | null {
  const serial = parseSerial(name)
  return serial === null ? null : serialKey(serial)
}
