import type {
  ApprovalTable,
  FindingTable,
  LockCountTable,
  LossCountTable,
  LossState,
  ReviewTable,
} from './guard-schema.ts'
import type { Generated, Kysely, Selectable } from 'kysely'
import type { MailState } from '../../ports/store/mail.ts'

/**
 * The tables. Times end in `_ms` or `_us` (since 1970); JSON is text; flags are 0 or 1. Plain SQL types only, so that
 * another database needs nothing but its dialect file.
 */
export interface Tables {
  event: EventTable
  account: AccountTable
  hold: HoldTable
  queue: QueueTable
  change: ChangeTable
  token: TokenTable
  authored_serial: AuthoredSerialTable
  lockout: LockoutTable
  owner: OwnerTable
  mirror: MirrorTable
  resync_account: ResyncAccountTable
  unplaced: UnplacedTable
  verification: VerificationTable
  lock_count: LockCountTable
  loss_count: LossCountTable
  review: ReviewTable
  approval: ApprovalTable
  finding: FindingTable
  journal: JournalTable
  meta: MetaTable
  mail: MailTable
  enrolment: EnrollmentTable
  serial_twin: SerialTwinTable
  evidence: EvidenceTable
}

export type Database = Kysely<Tables>

/** `waiting`: no account yet. `resolved`: belongs to one. `ended`: needs nothing. `refused`: was no event. */
export type EventState = 'waiting' | 'resolved' | 'ended' | 'refused'

export interface EventTable {
  id: string
  kind: string
  serial: string | null
  login: string | null
  realm: string | null
  actor: string
  taken_at_us: number
  received_ms: number
  source: string
  reason: string
  until_us: number | null
  state: EventState
  /** 1 while the desired state is folded from it. */
  live: number
  account_key: string | null
  /** JSON array of serials. */
  attribute_serials: string
  pinned_hold: string | null
  why_code: string | null
  why: string
  attempts: number
  next_try_ms: number | null
  /** 1: a registration that names this serial alone. */
  sole_serial: number
  /** For how long it has waited for what a person must change, while everything could be asked. */
  counted_ms: Generated<number>
  /** When it was tried last; null: never, or by an older version. */
  tried_ms: Generated<number | null>
}

export interface AccountTable {
  key: string
  directory: string
  dn: string
  login: string | null
  realm: string | null
  /** privacyIDEA's resolver and the user's id in it, where known. */
  resolver: string | null
  user_id: string | null
  /** JSON of an OwnedLock; null: not locked by us. */
  owned_lock: string | null
  /** The change whose outcome is not on record. */
  open_change: string | null
  standing: string
  standing_code: string | null
  standing_reason: string
  hold_count: number
  /** Whether a lock is enforced: `yes`, `no`, `unknown`; null: neither a lock nor a hold, or not read yet. */
  effective: string | null
  /** JSON of an OtherLock; null: none was observed. */
  other_lock: string | null
  /** Its `is`, to be searched for. */
  other_lock_is: string | null
  /** When our lock was last observed in the directory; 0: never. */
  seen_ms: number
  updated_ms: number
  /** When it came on record; 0: before this was recorded. */
  known_ms: number
  /** The latest `may_arrive_until_ms` of its changes; null: none has one. */
  late_until_ms: Generated<number | null>
  /** JSON of an AdoptionOrder that is to be carried out; null: there is none. */
  adoption: Generated<string | null>
}

export interface HoldTable {
  account_key: string
  name: string
  kind: string
  serial: string | null
  since_us: number
  until_us: number | null
  reason: string
  actor: string
}

/** What a row has of a lease; `lease_until_ms` is in milliseconds since the boot `lease_boot`. */
export interface LeaseColumns {
  lease_owner: string | null
  lease_token: string | null
  lease_boot: string | null
  lease_until_ms: number | null
  /** Since when another boot observes it unchanged: boot id and milliseconds since that boot. */
  lease_watch: string | null
}

export interface QueueTable extends LeaseColumns {
  account_key: string
  generation: number
  due_ms: number
  attempts: number
  /** 1: a turn at the account was aborted, so its waiting files are compared with the record. */
  repair: number
  /** 1: privacyIDEA's data of the account's owner are to be read before its turn. */
  hinted: number
}

/** What privacyIDEA's API reported of a token at the last reading of its owner. */
export interface TokenTable {
  serial: string
  account_key: string
  is_locked: number
  /** 1: its fail counter is to be reset. */
  reset_due: number
  /** The full resync that missed it; 0: none did; -1: it came on record since the last one began. */
  run: number
  /** The owner; null: read by an older Lockstep, or its user was not known. */
  resolver: string | null
  user_id: string | null
  /** privacyIDEA's own number of it, which rises with each new token; null: no full resync has seen it yet. */
  source_id: number | null
  /** It is lost, and its loss is pending or may pass; null: it is not, or that was not noticed. Cleared when listed. */
  loss: LossState | null
  /** Since when it is pending, or when its loss was allowed. */
  loss_ms: number | null
  /** A LossCause. */
  loss_why: string | null
  /** JSON array of the people who approved so far. */
  loss_by: string | null
  /** As it was read last, for people; null: not since this is kept. */
  type: Generated<string | null>
  state: Generated<string | null>
  fail_count: Generated<number | null>
  fail_count_max: Generated<number | null>
  read_ms: Generated<number | null>
}

/** Tokens that are known to differ by case only. */
export interface SerialTwinTable {
  serial_key: string
  /** JSON array of serials. */
  spellings: string
}

/** A serial that this store may remove from an account: it wrote it there or adopted it. Kept for ever. */
export interface AuthoredSerialTable {
  account_key: string
  serial: string
  /** `named`: an event reported that it has left, and privacyIDEA was not asked yet; `settled`: it was. */
  how: 'written' | 'confirmed' | 'adopted' | 'recorded' | 'named' | 'settled'
  /** 0: known from before this was recorded. */
  at_ms: number
}

/** Further users of privacyIDEA whose account it is as well; the one on the account's own row is not among them. */
export interface OwnerTable {
  account_key: string
  resolver: string
  user_id: string
  login: string
  realm: string
}

/** The findings of a full resync until it is complete. */
export interface ResyncAccountTable {
  run: number
  account_key: string
  /** Null: it is on record. */
  dn: string | null
  login: string | null
  realm: string | null
  /** The user whose account it is, where privacyIDEA named them. */
  resolver: string | null
  user_id: string | null
}

/** Users that privacyIDEA locks out, by the last reading. */
export interface LockoutTable {
  account_key: string
  until_us: number | null
}
/** Changes in privacyIDEA because of a lock by others in the directory. */
export interface MirrorTable {
  account_key: string
  /** A serial, or `@resolver/id` of the user who is locked out. */
  name: string
  kind: 'token' | 'lockout'
  state: string
  login: string | null
  realm: string | null
  resolver: string | null
  user_id: string | null
  duration_s: number | null
  until_us: number | null
  since_ms: number
}

/** A lock or an unlock of ours on each server of its directory; or the removal of a lock by somebody. */
export interface VerificationTable {
  account_key: string
  directory: string
  wanted: 'locked' | 'open' | 'removed'
  /** URL of the server that took the write, where known. */
  writer: string | null
  written_ms: number
  due_ms: number | null
  tries: number
  checked_ms: number | null
  /** JSON of a LockVerdict; null: not checked yet. */
  verdict: string | null
  /** JSON of a LockProblem that is to be reported. */
  problem: string | null
  problem_ms: number | null
}

export type ChangeState = 'planned' | 'applied' | 'not-applied'

export interface ChangeTable {
  id: string
  account_key: string
  kind: string
  serial: string | null
  dn: string
  /** JSON: holds, their ends, forward, inverse, slots. */
  body: string
  reason: string
  actor: string
  planned_ms: number
  state: ChangeState
  closed_ms: number | null
  /** Nobody reported its outcome: it may still arrive until then, or its arrival is still a finding; null: neither. */
  may_arrive_until_ms: Generated<number | null>
  /** When it was found to have arrived after it was written off; null: it was not. */
  arrived_ms: Generated<number | null>
  /** 1: its value is on the entry, and is somebody else's. */
  is_others: Generated<number>
}

export interface JournalTable {
  seq: Generated<number>
  at_ms: number
  kind: string
  /** The account key or event id that it is about; '' for none. */
  subject: string
  /** JSON. */
  body: string
  prev_hash: string
  hash: string
}

/** The outbox: one row a mail, from its first notification to some time after it was sent. */
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
  /** After this it is out of date. */
  expires_ms: number
  /** When nothing more was added, which is its Date; null: while more may be. */
  sealed_ms: number | null
  attempts: number
  /** Where it was sent to last; null: not known yet. */
  address: string | null
  why_code: string | null
  why: string
  ended_ms: number | null
  /** JSON of MailRefusals: the last answer of the server, and how often; null: it refused nothing. */
  refusals: string | null
}

/** A user of a roll-out, and the progress of their new token. */
export interface EnrollmentTable {
  rollout: string
  /** See enrolleeKey. */
  enrollee: string
  login: string
  realm: string
  state: string
  serial: string | null
  mail_id: string | null
  why: string
  /** The process that works on it, or did last. */
  owner: string
  changed_ms: number
}

/** Waiting files that are not on record, until the directory proves or disproves them. */
export interface EvidenceTable {
  folder: 'unlock' | 'unregister'
  name: string
  account_key: string
  /** When the file was written. */
  at_ms: number
  /** 1: its forward file was still in `lock/`: the lock was not observed in the directory. */
  is_unseen: number
}

export interface UnplacedTable {
  serial: string
  /** An UnplacedCause. */
  cause: string
  login: string | null
  realm: string | null
  resolver: string | null
  user_id: string | null
  /** 1: it would lock an account. */
  is_full: number
  since_ms: number
  /** The full resync that saw it last. */
  run: number
  /** Since when it has been observed with this cause and owner. */
  cause_ms: number
  /** 0: the cause has to be observed again before it is reported. */
  is_sure: number
}

export interface MetaTable {
  key: string
  value: string
}

export type VerificationRow = Selectable<VerificationTable>
export type EventRow = Selectable<EventTable>
export type NewEventRow = Omit<Selectable<EventTable>, 'counted_ms' | 'tried_ms'>
/** Its later columns are filled in later. */
export type NewChangeRow = Omit<Selectable<ChangeTable>, 'arrived_ms' | 'is_others' | 'may_arrive_until_ms'>
export type MirrorRow = Selectable<MirrorTable>
export type AccountRow = Selectable<AccountTable>
export type ChangeRow = Selectable<ChangeTable>
export type JournalRow = Selectable<JournalTable>
