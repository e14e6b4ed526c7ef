import type { ResolvedEvent } from '../../core/events/event.ts'
import type { AccountKey, Dn, HoldName, Login } from '../../core/names.ts'
import type { OwnedLock } from '../../core/account/state.ts'
import type { Clock } from '../../ports/clock.ts'
import { authorSerial } from '../accounts/author-serial.ts'
import { noteAsRead } from './evidence.ts'
import { noteAccount } from './inbox.ts'
import { markAccounts } from '../accounts/queue.ts'
import { resolvedToRow, toJson } from '../rows/rows.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { readMeta, writeMeta } from '../engine/meta.ts'

/** Restores an account of a lost store. What is in the store already is kept: a lock of ours with all its holds. */
export interface RestoredAccount {
  readonly key: AccountKey
  readonly dn: Dn
  readonly login: Login | null
  readonly events: readonly ResolvedEvent[]
  readonly owned: OwnedLock | null
  /** privacyIDEA is asked (mode `api`): its answer is then compared with what was restored. */
  readonly hasSource: boolean
}

const LEFT_ALONE_KEY = 'left-alone'

export function openRestore(db: Database, writer: StoreWriter, clock: Clock) {
  return {
    restore: (account: RestoredAccount) => writer.run((scope) => restoreAccount(scope, account, clock.nowMs())),
    /**
     * Closes the rebuild in the journal.
     * @param leftAlone files of `unlock/` that nothing was restored from: nobody removes them
     */
    note: (body: Readonly<Record<string, number>>, leftAlone: readonly HoldName[]) =>
      writer.run(async (scope) => {
        await writeMeta(scope, LEFT_ALONE_KEY, leftAlone)
        scope.log({ atMs: clock.nowMs(), kind: 'rebuilt', subject: '', body })
      }),
    /** The files that the last rebuild left alone. */
    leftAlone: async () => new Set(await readMeta<string[]>(db, LEFT_ALONE_KEY)),
  }
}

async function restoreAccount(scope: WriteScope, account: RestoredAccount, nowMs: number): Promise<void> {
  const { key, owned } = account
  await noteAccount(scope, { ...account, realm: null }, nowMs)
  const known = await scope.trx.selectFrom('account').select('owned_lock').where('key', '=', key).executeTakeFirst()
  const isNew = (known?.owned_lock ?? null) === null
  if (isNew && owned !== null) {
    await scope.trx
      .updateTable('account')
      .set({ owned_lock: toJson(owned) })
      .where('key', '=', key)
      .execute()
  }
  for (const event of account.events) {
    if (!isNew && event.kind !== 'register') continue
    await scope.hot.insertEvent.run(scope.trx, resolvedToRow(event, nowMs))
    if (event.kind === 'register' && event.serial !== null) {
      await authorSerial(scope, key, event.serial, 'recorded', nowMs)
    }
  }
  if (account.hasSource) await noteAsRead(scope, key, account.events)
  await markAccounts(scope, [key], nowMs)
}
