/** Since the servers of a directory are looked at one by one: the migration that makes the table `verification`. */
export const VERIFICATION_TABLES = [
  `create table verification (
    account_key text primary key, directory text not null, wanted text not null, writer text, written_ms bigint not null,
    due_ms bigint, tries integer not null, checked_ms bigint, verdict text, problem text, problem_ms bigint)`,
  `create index verification_due on verification (due_ms) where due_ms is not null`,
  `create index verification_problem on verification (account_key) where problem is not null`,
]
