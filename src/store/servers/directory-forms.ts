import type { DirectoryForm, RealmDirectories } from '../../core/settings/directory-form.ts'
import {
  parseDirectoryName,
  parseSerial,
  type AccountKey,
  type DirectoryName,
  type Realm,
  type Serial,
} from '../../core/names.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import { LIVE } from '../rows/literals.ts'
import { stillLocked } from '../decisions/retired-marks.ts'
import { readRetirements } from '../decisions/retirements.ts'
import type { Database } from '../schema/schema.ts'
import { realmFromRow } from '../rows/rows.ts'
import { serialsOf } from '../accounts/serial-lookups.ts'
import { assignedOf } from '../events/maintenance.ts'
import type { StoreWriter } from '../engine/store-writer.ts'
import { readMeta, writeMeta } from '../engine/meta.ts'
import { countOf, inPages } from '../rows/queries.ts'

/** The form in which ours was written into each directory, and how much of it is there; a row of `meta` each. */

const KEY = 'directory-form '
const REALMS_KEY = 'realm-directories'
const PAGE = 1_000

export function openDirectoryForms(db: Database, writer: StoreWriter) {
  return {
    /** Every directory that an account on record is in, or whose form is on record; the form null: not known yet. */
    async all() {
      const accounts = await db.selectFrom('account').select('directory').distinct().execute()
      const forms = await db.selectFrom('meta').selectAll().where('key', 'like', `${KEY}%`).execute()
      const known = new Map(forms.map(({ key, value }) => [key.slice(KEY.length), JSON.parse(value) as DirectoryForm]))
      const names = new Set([...accounts.map(({ directory }) => directory), ...known.keys()])
      const found = new Map<DirectoryName, DirectoryForm | null>()
      for (const text of names) {
        const name = parseDirectoryName(text)
        if (name !== null) found.set(name, known.get(text) ?? null)
      }
      return found
    },
    note: (forms: ReadonlyMap<DirectoryName, DirectoryForm>) =>
      writer.run(async (scope) => {
        await scope.trx.deleteFrom('meta').where('key', 'like', `${KEY}%`).execute()
        for (const [name, form] of forms) {
          await writeMeta(scope, `${KEY}${name}`, form)
        }
      }),
    /** Null: not known yet. */
    realms: () => readMeta<RealmDirectories>(db, REALMS_KEY),
    noteRealms: (realms: RealmDirectories) => writer.run((scope) => writeMeta(scope, REALMS_KEY, realms)),
    /** Those of the accounts on record. */
    async realmsIn(directory: DirectoryName) {
      const rows = await accountsOf(db, directory).select('realm').distinct().execute()
      return rows.flatMap(({ realm }) => realmFromRow(realm) ?? [])
    },
    /**
     * By the record; in a retired directory, what is still to be released there.
     * @param realm of its accounts alone; left out: of all
     */
    async marksIn(directory: DirectoryName, realm?: Realm) {
      const order = (await readRetirements(db)).find((each) => each.directory === directory)
      // A lock may be on record still, of an account that is no longer in the directory.
      if (order !== undefined && order.provenMs !== null) return { locks: 0, serials: 0 }
      return { locks: await locksIn(db, directory, realm), serials: await serialsIn(db, directory, realm) }
    },
    /** Serials of the account by the events; in a retired directory, those still to be removed. */
    async serialsOnEntriesOf(key: AccountKey) {
      const rows = (await serialsOf(db, key)).map((serial) => ({ account_key: key, serial }))
      return (await stillLocked(db, rows)).map(({ serial }) => serial)
    },
  }
}

function accountsOf(db: Database, directory: DirectoryName, realm?: Realm) {
  const all = db.selectFrom('account').where('directory', '=', directory)
  return realm === undefined ? all : all.where('realm', '=', realm)
}

function locksIn(db: Database, directory: DirectoryName, realm?: Realm): Promise<number> {
  const accounts = accountsOf(db, directory, realm)
  return countOf(accounts.where((w) => w.or([w('owned_lock', 'is not', null), w('open_change', 'is not', null)])))
}

/** Those that are assigned to an account there, and that this store wrote or adopted. */
async function serialsIn(db: Database, directory: DirectoryName, realm?: Realm): Promise<number> {
  let count = 0
  for await (const accounts of inPages(accountsOf(db, directory, realm).select('key'), 'key', PAGE)) {
    const keys = accounts.map(({ key }) => key)
    count += await serialsAt(db, keys)
  }
  return count
}

async function serialsAt(db: Database, keys: readonly string[]): Promise<number> {
  const registered = await db
    .selectFrom('event')
    .select(['account_key', 'serial'])
    .distinct()
    .where('account_key', 'in', keys)
    .where('live', '=', LIVE)
    .where('kind', '=', 'register')
    .where('serial', 'is not', null)
    .execute()
  const authored = await db
    .selectFrom('authored_serial')
    .select(['account_key', 'serial'])
    .where('account_key', 'in', keys)
    .execute()
  const ours = new Set(authored.flatMap((row) => idOf(row.account_key, row.serial)))
  const written = registered.filter(({ account_key: key, serial }) => idOf(key, serial).some((id) => ours.has(id)))
  const own = await stillLocked(db, written)
  const assigned = new Set<string>()
  for (let at = 0; at < own.length; at += PAGE) {
    const serials = own.slice(at, at + PAGE).flatMap(({ serial }) => serial ?? [])
    for (const serial of await assignedOf(db, serials)) assigned.add(serial)
  }
  return new Set(
    own
      .filter(({ serial }) => serial !== null && assigned.has(serial))
      .flatMap(({ account_key: key, serial }) => idOf(key, serial)),
  ).size
}

function idOf(key: string | null, serial: string | null): string[] {
  const parsed: Serial | null = parseSerial(serial ?? '')
  return key === null || parsed === null ? [] : [`${key} ${serialKey(parsed)}`]
}
