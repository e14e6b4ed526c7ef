import { isDeepStrictEqual } from 'node:util'
import type { DirectoryIdentity } from '../../core/settings/directory-identity.ts'
import type { Clock } from '../../ports/clock.ts'
import type { IdentityPort } from '../../ports/store/identity.ts'
import { orderBody } from '../journal/orders.ts'
import type { Database } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'
import { readMeta, writeMeta } from '../engine/meta.ts'

/** The directory that answered when each was first used; a row of `meta` each; a person's decision is journalled. */

const KEY = 'directory-identity '

export function openIdentities(db: Database, writer: StoreWriter, clock: Clock): IdentityPort {
  return {
    known: (directory) => readMeta<DirectoryIdentity>(db, KEY + directory),
    remember: (directory, identity, instead) =>
      writer.run(async (scope) => {
        const before = await readMeta<DirectoryIdentity>(scope.trx, KEY + directory)
        if (!isDeepStrictEqual(before, instead)) return before ?? identity
        await writeMeta(scope, KEY + directory, identity)
        return identity
      }),
    accept: (directory, identity, by, reason = '') =>
      writer.run(async (scope) => {
        const was = await readMeta<DirectoryIdentity>(scope.trx, KEY + directory)
        await writeMeta(scope, KEY + directory, identity)
        const body = { ...orderBody(by, reason), was, is: identity }
        scope.log({ atMs: clock.nowMs(), kind: 'directory-identity', subject: directory, body })
      }),
  }
}
