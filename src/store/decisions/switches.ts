import type { Pause } from '../../core/guards/guard.ts'
import { parseDirectoryName, type DirectoryName } from '../../core/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { GuardPort } from '../../ports/store/store.ts'
import { orderBody } from '../journal/orders.ts'
import { markAccounts } from '../accounts/queue.ts'
import { recentLook } from '../rows/recent-look.ts'
import { keyFromRow } from '../rows/rows.ts'
import type { Database, MetaTable } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'
import { dropMeta, writeMeta } from '../engine/meta.ts'

/** What a person switched: the pause of everything, and that of single directories. */

const PAUSE_KEY = 'paused'
/** The next change observes a pause after so long at most. */
const LOOK_MS = 20

export function openSwitches(db: Database, writer: StoreWriter, clock: Clock) {
  return {
    /**
     * @param directory null: the changes of all
     * @returns the pause that was in force already, and stays in force; null: this one is
     */
    pause: (directory: DirectoryName | null, by: string, reason: string) =>
      writer.run(async (scope) => {
        const before = (await readPauses(scope.trx)).find((each) => each.directory === directory)
        if (before !== undefined) return before
        await writeMeta(scope, keyOf(directory), { sinceMs: clock.nowMs(), by, reason })
        scope.log({ atMs: clock.nowMs(), kind: 'paused', subject: directory ?? '', body: { by, reason } })
        return null
      }),
    /** Marks what was pending. @param reason '': none is given  @returns how many accounts; null: nothing was paused */
    resume: (directory: DirectoryName | null, by: string, reason = '') =>
      writer.run(async (scope) => {
        const isPaused = (await readPauses(scope.trx)).some((each) => each.directory === directory)
        if (!isPaused) return null
        await dropMeta(scope, keyOf(directory))
        scope.log({ atMs: clock.nowMs(), kind: 'resumed', subject: directory ?? '', body: orderBody(by, reason) })
        let waiting = scope.trx.selectFrom('account').select('key').where('standing', '=', 'paused')
        if (directory !== null) waiting = waiting.where('directory', '=', directory)
        const keys = (await waiting.execute()).map((row) => keyFromRow(row.key))
        await markAccounts(scope, keys, clock.nowMs())
        return keys.length
      }),
    /** That of everything first. */
    pauses: () => readPauses(db),
  }
}

/** As an older version wrote it, for all; a directory's name follows a colon. */
function keyOf(directory: DirectoryName | null): string {
  return directory === null ? PAUSE_KEY : `${PAUSE_KEY}:${directory}`
}

function selectPauses(db: Pick<Database, 'selectFrom'>) {
  return (
    db
      .selectFrom('meta')
      .selectAll()
      // As a range: `like` would look at every row.
      .where((where) =>
        where.or([
          where('key', '=', PAUSE_KEY),
          where.and([where('key', '>=', `${PAUSE_KEY}:`), where('key', '<', `${PAUSE_KEY};`)]),
        ]),
      )
      .orderBy('key')
  )
}

async function readPauses(db: Pick<Database, 'selectFrom'>): Promise<Pause[]> {
  return (await selectPauses(db).execute()).map(pauseFromRow)
}

function pauseFromRow({ key, value }: MetaTable): Pause {
  const pause = JSON.parse(value) as Omit<Pause, 'directory'>
  return { ...pause, directory: parseDirectoryName(key.slice(PAUSE_KEY.length + 1)) }
}

export function openGuards(db: Database, retirementOf: GuardPort['retirementOf']): GuardPort {
  // Compiled once: each change looks.
  const query = selectPauses(db).compile()
  const pausesNow = recentLook(async () => (await db.executeQuery(query)).rows.map(pauseFromRow), LOOK_MS)
  return {
    retirementOf,
    async pauseOf(directory, nowMs) {
      const pauses = await pausesNow(nowMs)
      return pauses.find((each) => each.directory === null || each.directory === directory) ?? null
    },
  }
}
