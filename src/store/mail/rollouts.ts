import { ENROLL_STATES, enrolleeKey, type Enrollment } from '../../core/source/enrollment.ts'
import { AppError } from '../../core/error.ts'
import { parseLogin, parseRealm, parseSerial } from '../../core/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { RolloutPort } from '../../ports/store/enrollment.ts'
import { isOwnerAlive } from '../engine/process-owner.ts'
import type { Database, EnrollmentTable } from '../schema/schema.ts'
import type { StoreWriter } from '../engine/store-writer.ts'

/** Roll-outs: which user has their new token and their mail. Never the token's secret. */

const KEYS_AT_ONCE = 500
/** One step for one user, a mail server that hangs included (mail.timeout is at most 20 min): there is no heartbeat. */
const STEP_MS_MAX = 1_500_000

export function openRollouts(db: Database, writer: StoreWriter, clock: Clock, owner: string): RolloutPort {
  return {
    async read(rollout, enrollees) {
      const found: Enrollment[] = []
      for (let at = 0; at < enrollees.length; at += KEYS_AT_ONCE) {
        const keys = enrollees.slice(at, at + KEYS_AT_ONCE).map(enrolleeKey)
        const rows = await db
          .selectFrom('enrolment')
          .selectAll()
          .where('rollout', '=', rollout)
          .where('enrollee', 'in', keys)
          .execute()
        found.push(...rows.map(enrollmentFromRow))
      }
      return found
    },
    claim: (rollout, enrollee) =>
      writer.run(async ({ trx }) => {
        const key = enrolleeKey(enrollee)
        const row = await trx
          .selectFrom('enrolment')
          .select(['state', 'owner', 'changed_ms'])
          .where('rollout', '=', rollout)
          .where('enrollee', '=', key)
          .executeTakeFirst()
        const isOpen = row?.state === 'making' || row?.state === 'mailing'
        if (row !== undefined && isOpen && row.owner !== owner) {
          const lastMs = Number(row.changed_ms) + STEP_MS_MAX
          if (isOwnerAlive(row.owner, lastMs, clock.nowMs())) return false
        }
        await trx
          .updateTable('enrolment')
          .set({ owner })
          .where('rollout', '=', rollout)
          .where('enrollee', '=', key)
          .execute()
        return true
      }),
    async step(rollout, enrollee, { state, serial, mailId, why, actor }) {
      const nowMs = clock.nowMs()
      const { login, realm } = enrollee
      const changed = { state, serial, mail_id: mailId, why, owner, changed_ms: nowMs }
      await writer.run(async ({ trx, log }) => {
        await trx
          .insertInto('enrolment')
          .values({ rollout, enrollee: enrolleeKey(enrollee), login, realm, ...changed })
          .onConflict((conflict) => conflict.columns(['rollout', 'enrollee']).doUpdateSet(changed))
          .execute()
        if (state === 'skipped') return
        log({ atMs: nowMs, kind: 'enrolment', subject: login, body: { rollout, realm, state, serial, why, actor } })
      })
    },
  }
}

function enrollmentFromRow(
  row: Pick<EnrollmentTable, 'login' | 'realm' | 'state' | 'serial' | 'mail_id' | 'why'>,
): Enrollment {
  const [login, realm] = [parseLogin(row.login), parseRealm(row.realm)]
  const state = ENROLL_STATES.find((each) => each === row.state)
  if (login === null || realm === null || state === undefined) {
    throw new AppError('store-corrupt', 'a row of the table enrolment cannot be read')
  }
  const serial = row.serial === null ? null : parseSerial(row.serial)
  return { login, realm, state, serial, mailId: row.mail_id, why: row.why }
}
