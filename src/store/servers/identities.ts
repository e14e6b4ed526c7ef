import { isDeepStrictEqual } from 'node:util'
import type { DirectoryIdentity } from '../../core/settings/directory-identity.ts'
import type { DirectoryName } from '../../core/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { IdentityPort } from '../../ports/store/identity.ts'
import { orderBody } from '../journal/orders.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'

/** Which directory answered when each was first used; a row of `meta` each; a person's word is journalled. */

const KEY = 'directory-identity '

export function openIdentities(db: Database, writer: StoreWriter, clock: Clock): IdentityPort {
  return {
    known: (directory) => read(db, directory),
    remember: (directory, identity, instead) =>
      writer.run(async (scope) => {
        const before = await read(scope.trx, directory)
        if (!isDeepStrictEqual(before, instead)) return before ?? identity
        await write(scope, directory, identity)
        return identity
      }),
    accept: (directory, identity, by, reason = '') =>
      writer.run(async (scope) => {
        const was = await read(scope.trx, directory)
        await write(scope, directory, identity)
        const body = { ...orderBody(by, reason), was, is: identity }
        scope.log({ atMs: clock.nowMs(), kind: 'directory-identity', subject: directory, body })
      }),
  }
}

async function read(on: Pick<Database, 'selectFrom'>, directory: DirectoryName): Promise<DirectoryIdentity | null> {
  const row = await on.selectFrom('meta').select('value').where('key', '=', `${KEY}${directory}`).executeTakeFirst()
  return row === undefined ? null : (JSON.parse(row.value) as DirectoryIdentity)
}

async function write(scope: WriteScope, directory: DirectoryName, identity: DirectoryIdentity): Promise<void> {
  await scope.hot.writeMeta.run(scope.on, { key: `${KEY}${directory}`, value: JSON.stringify(identity) })
}
