import type { ResolvedEvent } from '../core/event.ts'
import type { AccountKey, Dn, Login } from '../core/names.ts'
import type { OwnedLock } from '../core/state.ts'
import type { Clock } from '../ports/clock.ts'
import { noteAccount } from './inbox.ts'
import { markAccounts } from './queue.ts'
import { resolvedToRow, toJson } from './rows.ts'
import type { Writer } from './writer.ts'

/** Brings back an account of a lost store. What the store knows already is kept. */
export interface RestoredAccount {
  readonly key: AccountKey
  readonly dn: Dn
  readonly login: Login | null
  readonly events: readonly ResolvedEvent[]
  readonly owned: OwnedLock | null
}

export interface RestorePort {
  restore(account: RestoredAccount): Promise<void>
  /** Closes the rebuild in the journal. */
  note(body: Readonly<Record<string, number>>): Promise<void>
}

export function openRestore(writer: Writer, clock: Clock): RestorePort {
  return {
    restore: (account) =>
      writer.run(async (scope) => {
        const nowMs = clock.nowMs()
        await noteAccount(scope, { ...account, realm: null }, nowMs)
        if (account.owned !== null) {
          await scope.trx
            .updateTable('account')
            .set({ owned_lock: toJson(account.owned) })
            .where('key', '=', account.key)
            .where('owned_lock', 'is', null)
            .execute()
        }
        for (const event of account.events) {
          await scope.trx
            .insertInto('event')
            .values(resolvedToRow(event, nowMs))
            .onConflict((conflict) => conflict.column('id').doNothing())
            .execute()
        }
        await markAccounts(scope, [account.key], nowMs)
      }),
    note: (body) => writer.run(async (scope) => scope.log({ atMs: clock.nowMs(), kind: 'rebuilt', subject: '', body })),
  }
}
