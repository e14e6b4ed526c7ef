import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** A user of a roll-out, and how far his new token is. */
export interface EnrolmentTable {
  rollout: string
  /** See enrolleeKey. */
  enrollee: string
  login: string
  realm: string
  state: string
  serial: string | null
  mail_id: string | null
  why: string
  /** Who works on it, or did last. */
  owner: string
  changed_ms: number
}

export async function enrolmentTable(db: Kysely<Tables>): Promise<void> {
  await sql
    .raw(
      `create table enrolment (
        rollout text not null, enrollee text not null, login text not null, realm text not null, state text not null,
        serial text, mail_id text, why text not null, owner text not null, changed_ms bigint not null,
        primary key (rollout, enrollee))`,
    )
    .execute(db)
}
