import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** Waiting files that the record has nothing of, until the directory said what they are worth. */
export interface EvidenceTable {
  folder: 'unlock' | 'unregister'
  name: string
  account_key: string
  /** When the file was written. */
  at_ms: number
  /** 1: its forward file was still in `lock/`: nobody saw the lock in the directory. */
  is_unseen: number
}

export async function evidenceTable(db: Kysely<Tables>): Promise<void> {
  await sql
    .raw(
      `create table evidence (
        folder text not null, name text not null, account_key text not null, at_ms bigint not null,
        is_unseen integer not null, primary key (folder, name))`,
    )
    .execute(db)
}
