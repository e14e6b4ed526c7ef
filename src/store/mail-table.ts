import { sql } from 'kysely'
import type { MailState } from '../ports/mail.ts'
import type { LeaseColumns } from './leases.ts'
import type { Database } from './schema.ts'

/** The outbox: one row a mail, from the first thing that it tells to some time after it was sent. */
export interface MailTable extends LeaseColumns {
  /** Also the left half of its Message-ID: the same however often it is sent. */
  id: string
  /** `account <key>` or `help-desk <address>`. */
  recipient: string
  state: MailState
  /** JSON of a Digest. */
  digest: string
  created_ms: number
  due_ms: number
  /** After this it is no news. */
  expires_ms: number
  /** When nothing more was added, which is its Date; null: while more may be. */
  sealed_ms: number | null
  attempts: number
  /** Where it was sent to last; null: not known yet. */
  address: string | null
  why_code: string | null
  why: string
  ended_ms: number | null
  /** JSON of MailRefusals: what the server answered last, and how often; null: it refused nothing. */
  refusals: string | null
}

/** What a mail server answers is on record with each mail. */
export async function mailRefusals(db: Database): Promise<void> {
  await sql.raw('alter table mail add column refusals text').execute(db)
}

export async function mailTable(db: Database): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `create table mail (
    id text primary key, recipient text not null, state text not null, digest text not null,
    created_ms bigint not null, due_ms bigint not null, expires_ms bigint not null, sealed_ms bigint,
    attempts integer not null, address text, why_code text, why text not null, lease_owner text,
    lease_until_ms bigint, ended_ms bigint)`,
  `create index mail_due on mail (due_ms) where ended_ms is null`,
  `create index mail_of on mail (recipient, sealed_ms)`,
  `create index mail_ended on mail (ended_ms) where ended_ms is not null`,
]
