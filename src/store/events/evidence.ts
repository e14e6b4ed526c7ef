import type { FileKnowledge } from '../../core/events/evidence.ts'
import type { ResolvedEvent } from '../../core/events/event.ts'
import { parseHoldName, type AccountKey, type Serial } from '../../core/names.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import type { Clock } from '../../ports/clock.ts'
import type { AdoptedAccount, EvidenceFile } from '../../ports/store/evidence.ts'
import { noteAccount } from './inbox.ts'
import { markAccounts } from '../accounts/queue.ts'
import { forgetRecordAge, journalNewestMs, recordAgeMs } from './record-age.ts'
import { insertResolved } from '../accounts/records.ts'
import { holdToRow, keyFromRow, toJson } from '../rows/rows.ts'
import type { Database } from '../schema/schema.ts'
import { keyColumn } from '../rows/serial-column.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { countOf, findsAny } from '../rows/queries.ts'

/** A token that no full resync has seen yet; see TokenTable. */
const NOT_SEEN = -1

/** Files of the LDIF folders that are newer than the record, and their outcomes. Fails with `store-unavailable`. */
export function openEvidence(db: Database, writer: StoreWriter, clock: Clock) {
  return {
    /** @param change the id that the file's header names; '' for none */
    knownOf: (folder: EvidenceFile['folder'], key: AccountKey, change: string) => knownOf(db, folder, key, change),
    /**
     * The newest time of the record when it was opened, before anything new was written, in milliseconds since 1970; null
     * once the folder was compared with it.
     */
    recordAgeMs: (folder: EvidenceFile['folder']) => recordAgeMs(db, folder),
    /** All files of the folder were compared with the record, and the newer ones are noted. */
    compared: (folder: EvidenceFile['folder']) => writer.run((scope) => forgetRecordAge(scope, folder)),
    note: (files: readonly EvidenceFile[]) =>
      writer.run(async ({ trx }) => {
        for (const { folder, name, key, atMs, isUnseen } of files) {
          const row = { folder, name, account_key: key, at_ms: atMs, is_unseen: isUnseen ? 1 : 0 }
          await trx
            .insertInto('evidence')
            .values(row)
            .onConflict((conflict) => conflict.columns(['folder', 'name']).doNothing())
            .execute()
        }
      }),
    /** Those that were not compared with the directory yet. */
    async all() {
      const rows = await db.selectFrom('evidence').selectAll().orderBy('account_key').execute()
      return rows.flatMap((row) => {
        const name = parseHoldName(row.name)
        if (name === null) return []
        const key = keyFromRow(row.account_key)
        return [{ folder: row.folder, name, key, atMs: Number(row.at_ms), isUnseen: row.is_unseen === 1 }]
      })
    },
    /**
     * Assigns the files to their account.
     * @param hasSource privacyIDEA is asked about it next (mode `api`)
     */
    adopt: (account: AdoptedAccount, files: readonly EvidenceFile[], hasSource: boolean) =>
      writer.run(async (scope) => {
        await adopt(scope, account, files, clock.nowMs(), hasSource)
        await forget(scope, files)
      }),
    /** Files that prove nothing. */
    forget: (files: readonly EvidenceFile[]) => writer.run((scope) => forget(scope, files)),
    /** Holds that ended after the record was written. */
    release: (key: AccountKey, events: readonly ResolvedEvent[], hasSource: boolean) =>
      writer.run((scope) => release(scope, key, events, clock.nowMs(), hasSource)),
  }
}

async function knownOf(
  db: Database,
  folder: EvidenceFile['folder'],
  key: AccountKey,
  change: string,
): Promise<FileKnowledge> {
  const account = await db
    .selectFrom('account')
    .select(['known_ms', 'updated_ms'])
    .where('key', '=', key)
    .executeTakeFirst()
  const row = await db.selectFrom('change').select('state').where('id', '=', change).executeTakeFirst()
  return {
    isChangeClosed: row !== undefined && row.state !== 'planned',
    account:
      account === undefined ? null : { sinceMs: Number(account.known_ms), updatedMs: Number(account.updated_ms) },
    journalNewestMs: await journalNewestMs(db),
    recordAgeMs: await recordAgeMs(db, folder),
  }
}

async function adopt(
  scope: WriteScope,
  { key, dn, events, owned, holds }: AdoptedAccount,
  files: readonly EvidenceFile[],
  nowMs: number,
  hasSource: boolean,
): Promise<void> {
  const { trx } = scope
  await noteAccount(scope, { key, dn, login: null, realm: null }, nowMs)
  if (owned !== null) {
    await trx
      .updateTable('account')
      .set({ owned_lock: toJson(owned) })
      .where('key', '=', key)
      .where('owned_lock', 'is', null)
      .execute()
  }
  for (const event of events) await insertResolved(scope, event, nowMs)
  for (const hold of holds) {
    await trx
      .insertInto('hold')
      .values(holdToRow(key, hold))
      .onConflict((conflict) => conflict.columns(['account_key', 'name']).doNothing())
      .execute()
  }
  await countHolds(scope, key)
  // A later answer of privacyIDEA then counts as a difference from the files, in both directions.
  if (hasSource) await noteAsRead(scope, key, events)
  const names = files.map(({ folder, name }) => `${folder}/${name}.ldif`)
  scope.log({ atMs: nowMs, kind: 'adopted', subject: key, body: { dn, files: names } })
  await markAccounts(scope, [key], nowMs, hasSource)
}

async function countHolds({ trx }: WriteScope, key: AccountKey): Promise<void> {
  const hold_count = await countOf(trx.selectFrom('hold').where('account_key', '=', key))
  await trx.updateTable('account').set({ hold_count }).where('key', '=', key).execute()
}

/** As if privacyIDEA had reported it at the last reading. */
export async function noteAsRead(
  { trx }: WriteScope,
  key: AccountKey,
  events: readonly ResolvedEvent[],
): Promise<void> {
  for (const { kind, serial, untilUs } of events) {
    if (kind === 'lockout') {
      await trx
        .insertInto('lockout')
        .values({ account_key: key, until_us: untilUs })
        .onConflict((conflict) => conflict.column('account_key').doNothing())
        .execute()
    }
    if (serial === null) continue
    const there = trx.selectFrom('token').where(keyColumn('serial'), '=', serialKey(serial))
    if (!(await findsAny(there))) {
      const row = { serial, account_key: key, is_locked: kind === 'lock' ? 1 : 0, reset_due: 0, run: NOT_SEEN }
      await trx
        .insertInto('token')
        .values({ ...row, resolver: null, user_id: null, source_id: null })
        .execute()
    } else if (kind === 'lock') await setLocked(trx, key, serial, 1)
  }
}

async function setLocked(trx: Database, key: AccountKey, serial: Serial, isLocked: 0 | 1): Promise<void> {
  await trx
    .updateTable('token')
    .set({ is_locked: isLocked })
    .where(keyColumn('serial'), '=', serialKey(serial))
    .where('account_key', '=', key)
    .execute()
}

async function release(
  scope: WriteScope,
  key: AccountKey,
  events: readonly ResolvedEvent[],
  nowMs: number,
  hasSource: boolean,
): Promise<void> {
  for (const event of events) await insertResolved(scope, event, nowMs)
  for (const { serial } of events) {
    if (hasSource && serial !== null) await setLocked(scope.trx, key, serial, 0)
  }
  await markAccounts(scope, [key], nowMs, hasSource)
}

async function forget({ trx }: WriteScope, files: readonly EvidenceFile[]): Promise<void> {
  for (const { folder, name } of files) {
    await trx.deleteFrom('evidence').where('folder', '=', folder).where('name', '=', name).execute()
  }
}
