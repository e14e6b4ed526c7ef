import { sql, type RawBuilder } from 'kysely'
import {
  parseAccountId,
  parseLogin,
  parseRealm,
  parseSerial,
  splitAccountKey,
  type DirectoryName,
  type Login,
  type Realm,
} from '../../core/names.ts'
import type { AccountRow, Database } from '../schema/schema.ts'
import { accountsOfSerial } from '../accounts/serial-lookups.ts'

/** The accounts that a person names. */

/** privacyIDEA with more of them would be unusual; they are shown in one message. */
const REALMS_MAX = 1_000

/** Directories find a login in any case, and the record has it as an event or the directory spelled it. */
function folded(login: RawBuilder<unknown>): RawBuilder<string> {
  return sql<string>`lower(${login})`
}

/** By an account key or id, a serial, a DN or a login. */
export async function accountsNamed(db: Database, text: string, limit: number): Promise<AccountRow[]> {
  const keys = new Set<string>()
  const key = splitAccountKey(text)
  if (key !== null) keys.add(key.key)
  const serial = parseSerial(text)
  if (serial !== null) {
    for (const each of await accountsOfSerial(db, serial, limit)) keys.add(each)
  }
  const login = parseLogin(text)
  const id = parseAccountId(text)
  return db
    .selectFrom('account')
    .selectAll()
    .where((w) =>
      w.or([
        ...(keys.size > 0 ? [w('key', 'in', [...keys])] : []),
        ...(login === null ? [] : [w(folded(sql.ref('login')), '=', folded(sql.val(login)))]),
        ...(id === null ? [] : [w('key', 'like', `%/${id}`)]),
        w('dn', '=', text),
      ]),
    )
    .orderBy(sql`case when login = ${text} then 0 else 1 end`)
    .limit(limit)
    .execute()
}

/** @param user `directories`: an account there without a realm on record belongs to the realm as well */
export async function accountsOfLogin(
  db: Database,
  user: { readonly login: Login; readonly realm: Realm; readonly directories: readonly DirectoryName[] },
  limit: number,
): Promise<AccountRow[]> {
  const { login, realm, directories } = user
  const isCalled = (column: string): RawBuilder<boolean> =>
    sql<boolean>`${folded(sql.ref(column))} = ${folded(sql.val(login))}`
  return db
    .selectFrom('account')
    .selectAll()
    .where((w) =>
      w.or([
        w.and([isCalled('login'), w('realm', '=', realm)]),
        w.and([
          isCalled('login'),
          w('realm', 'is', null),
          directories.length === 0 ? sql<boolean>`1 = 0` : w('directory', 'in', [...directories]),
        ]),
        // The account of a further user, of another realm than the first one.
        w(
          'key',
          'in',
          w.selectFrom('owner').select('account_key').where(isCalled('owner.login')).where('owner.realm', '=', realm),
        ),
      ]),
    )
    .orderBy('key')
    .limit(limit)
    .execute()
}

export async function realmsOnRecord(db: Database): Promise<Realm[]> {
  const rows = await db
    .selectFrom('account')
    .select('realm')
    .where('realm', 'is not', null)
    .union(db.selectFrom('owner').select('realm'))
    .orderBy('realm')
    .limit(REALMS_MAX)
    .execute()
  return rows.flatMap((row) => parseRealm(row.realm ?? '') ?? [])
}
