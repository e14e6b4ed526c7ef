import type { AccountKey } from '../../core/names.ts'
import { isSameUser, type UserOfSource } from '../../core/source/token.ts'
import { LIVE } from '../rows/literals.ts'
import { ownerFromRow } from '../rows/rows.ts'
import type { Database } from '../schema/schema.ts'
import { keyColumn, keysOfRows } from '../rows/serial-column.ts'
import type { WriteScope } from '../engine/store-writer.ts'

/**
 * The users of privacyIDEA who own an account: the first on the account's own row, further ones (of another realm or
 * resolver that leads to the same directory) in a table beside it.
 */

export async function readOthers(db: Pick<Database, 'selectFrom'>, key: AccountKey): Promise<UserOfSource[]> {
  const rows = await db.selectFrom('owner').selectAll().where('account_key', '=', key).execute()
  return rows.flatMap((row) => {
    const { login, realm, resolver, userId } = ownerFromRow(row, key)
    return login === null || realm === null || resolver === null || userId === null
      ? []
      : [{ login, realm, resolver, userId }]
  })
}

/** privacyIDEA itself reported this user as the owner of the account. */
export async function noteUser(scope: WriteScope, key: AccountKey, user: UserOfSource): Promise<void> {
  const row = await scope.trx
    .selectFrom('account')
    .select(['login', 'realm', 'resolver', 'user_id'])
    .where('key', '=', key)
    .executeTakeFirst()
  if (row === undefined) return
  const { login, realm, resolver, userId } = ownerFromRow(row, key)
  if (resolver === null || userId === null) return writeUser(scope, key, user)
  if (!isSameUser({ resolver, userId }, user)) return writeOther(scope, key, user)
  if (login !== user.login || realm !== user.realm) await writeUser(scope, key, user)
}

export async function writeUser({ trx }: WriteScope, key: AccountKey, user: UserOfSource): Promise<void> {
  const { login, realm, resolver, userId } = user
  await trx.updateTable('account').set({ login, realm, resolver, user_id: userId }).where('key', '=', key).execute()
}

export async function writeOther({ trx }: WriteScope, key: AccountKey, user: UserOfSource): Promise<void> {
  const { login, realm, resolver, userId } = user
  await trx
    .insertInto('owner')
    .values({ account_key: key, resolver, user_id: userId, login, realm })
    .onConflict((conflict) => conflict.columns(['account_key', 'resolver', 'user_id']).doUpdateSet({ login, realm }))
    .execute()
}

/** The newest event that an account's state rests on: its own, and those of the serials that it had. */
export async function newestUs(db: Pick<Database, 'selectFrom'>, key: AccountKey): Promise<number> {
  const own = await db
    .selectFrom('event')
    .select(['serial', 'taken_at_us'])
    .where('account_key', '=', key)
    .where('live', '=', LIVE)
    .execute()
  const serials = keysOfRows(own)
  const others =
    serials.length === 0
      ? undefined
      : await db
          .selectFrom('event')
          .select((select) => select.fn.max('taken_at_us').as('newest'))
          .where(keyColumn('serial'), 'in', serials)
          .where('serial', 'is not', null)
          .where('live', '=', LIVE)
          .executeTakeFirst()
  return own.reduce((newest, row) => Math.max(newest, Number(row.taken_at_us)), Number(others?.newest ?? 0))
}
