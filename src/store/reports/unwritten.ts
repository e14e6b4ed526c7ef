import type { ErrorCode } from '../../core/error.ts'
import type { Database } from '../schema/schema.ts'
import { countOf } from '../rows/queries.ts'

/** The errors of a change before the directory is touched. */
const OF_DISK = ['disk-full', 'file-not-permitted', 'file-io'] as const satisfies readonly ErrorCode[]

/** Accounts whose change is pending since the disk did not take its files. */
export function countUnwritten(db: Database): Promise<number> {
  return countOf(db.selectFrom('account').where('standing', '=', 'failed').where('standing_code', 'in', OF_DISK))
}
