import type { ErrorCode } from '../../core/error.ts'
import type { Database } from '../schema/schema.ts'

/** What a change fails with before the directory is touched. */
const OF_DISK = ['disk-full', 'file-not-permitted', 'file-io'] as const satisfies readonly ErrorCode[]

/** Accounts whose change waits since the disk did not take its files. */
export async function countUnwritten(db: Database): Promise<number> {
  const { n } = await db
    .selectFrom('account')
    .where('standing', '=', 'failed')
    .where('standing_code', 'in', OF_DISK)
    .select((s) => s.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow()
  return Number(n)
}
