import type { AccountKey, DirectoryName } from '../../core/names.ts'
import { serialKey, type SerialKey } from '../../core/serials/serial-key.ts'
import type { AuthorshipPort, OwnSerial } from '../../ports/store/authorship.ts'
import type { Clock } from '../../ports/clock.ts'
import { authorSerial, FILES_DUE, LOCKED_BEFORE, type HowOurs } from '../accounts/author-serial.ts'
import { chunksOf, prepareAuthorship } from './resync-statements.ts'
import { keyFromRow, serialFromRow } from '../rows/rows.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { dropMeta, metaText, readMeta, writeMeta } from '../engine/meta.ts'

/** See ports/store/authorship.ts. A row is never deleted: a directory may be restored from any backup. */

export function openAuthorship(db: Database, writer: StoreWriter, clock: Clock): AuthorshipPort {
  const hot = prepareAuthorship(db)
  return {
    async serialsAt(keys) {
      const found = new Map<AccountKey, Set<SerialKey>>()
      for (const chunk of chunksOf(keys)) {
        for (const row of (await hot.authoredAt.run(db, chunk)).rows) {
          const key = keyFromRow(row.account_key)
          const serials = found.get(key) ?? new Set()
          found.set(key, serials.add(serialKey(serialFromRow(row.serial))))
        }
      }
      return found
    },
    written: (found) => writer.runSoon((scope) => authorAll(scope, found, 'written', clock.nowMs())),
    areFilesDue: async () => (await metaText(db, FILES_DUE)) !== null,
    filesAreTaken: () => writer.run((scope) => dropMeta(scope, FILES_DUE)),
    adopt: (found, by) =>
      writer.run(async (scope) => {
        await authorAll(scope, found, 'adopted', clock.nowMs())
        for (const { key, serial } of found) {
          scope.log({ atMs: clock.nowMs(), kind: 'adopted', subject: key, body: { by, serial } })
        }
      }),
    async lockedBefore(directory) {
      return (await readMeta<string[]>(db, `${LOCKED_BEFORE}${directory}`))?.map(keyFromRow) ?? null
    },
    setLockedBefore: (directory: DirectoryName, keys) =>
      writer.runSoon((scope) => writeMeta(scope, `${LOCKED_BEFORE}${directory}`, keys)),
  }
}

async function authorAll(scope: WriteScope, found: readonly OwnSerial[], how: HowOurs, nowMs: number): Promise<void> {
  for (const { key, serial } of found) await authorSerial(scope, key, serial, how, nowMs)
}
