import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

/** Whose a token was when it was read last, and the other users of privacyIDEA that an account belongs to. */
export async function ownersOfTokens(db: Kysely<Tables>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `alter table token add column resolver text`,
  `alter table token add column user_id text`,
  `update token set
    resolver = (select resolver from account where account.key = token.account_key),
    user_id = (select user_id from account where account.key = token.account_key)`,
  `create table owner (
    account_key text not null, resolver text not null, user_id text not null, login text not null, realm text not null,
    primary key (account_key, resolver, user_id))`,
]
