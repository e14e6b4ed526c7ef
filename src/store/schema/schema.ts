import type {
  ApprovalTable,
  FindingTable,
  LockCountTable,
  LossCountTable,
  LossState,
  ReviewTable,
} from './guard-schema.ts'
import type { Generated, Insertable, Kysely, Selectable } from 'kysely'
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
  /** For how long it has waited for what a person must change, while everything could be asked. */
  /** 1: a registration that names this serial alone. */
  sole_serial: number
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
  /** Whether a lock keeps the user out: `yes`, `no`, `unknown`; null: neither a lock nor a hold, or not looked at yet. */
  effective: string | null
  /** JSON of an OtherLock; null: none was seen. */
  other_lock: string | null
  /** Its `is`, to be searched for. */
  other_lock_is: string | null
  /** When our lock was last seen to stand in the directory; 0: never. */
  seen_ms: number
  updated_ms: number
  /** When it came on record; 0: before this was noted. */
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
  /** 1: somebody's turn at the account broke off, so its waiting files are held against the record. */
  repair: number
  /** 1: what privacyIDEA says of the account's owner is to be read before it is looked at. */
  hinted: number
}

/** What privacyIDEA's API said of a token when its owner was read last. */
export interface TokenTable {
  serial: string
  account_key: string
  is_locked: number
  /** 1: its fail counter is to be reset. */
  reset_due: number
  /** The full resync that missed it; 0: none did; -1: it came on record since the last one began. */
  run: number
  /** Whose it was; null: read by an older Lockstep, or its user could not be told. */
  resolver: string | null
  user_id: string | null
  /** privacyIDEA's own number of it, which rises with each new token; null: no full resync has seen it yet. */
  source_id: number | null
  /** It is lost, and its loss waits or may pass; null: it is not, or nobody has noticed yet. Cleared where it is listed. */
  loss: LossState | null
  /** Since when it waits, or when its loss was allowed. */
  loss_ms: number | null
  /** A LossCause. */
  loss_why: string | null
  /** JSON array of the persons who approved so far. */
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

/** A serial that this store may take off an account: it wrote it there or adopted it. Kept for ever. */
export interface AuthoredSerialTable {
  account_key: string
  serial: string
  /** `named`: an event said that it has left, and privacyIDEA was not asked yet; `settled`: it was. */
  how: 'written' | 'confirmed' | 'adopted' | 'recorded' | 'named' | 'settled'
  /** 0: known from before this was noted. */
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

/** What a full resync found until it is complete. */
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

/** Users that privacyIDEA keeps out, as read last. */
export interface LockoutTable {
  account_key: string
  until_us: number | null
}

/** What was done in privacyIDEA because somebody else locked the account in the directory. */
export interface MirrorTable {
  account_key: string
  /** A serial, or `@resolver/id` of the user who is kept out. */
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

/** How a lock or an unlock of ours stands on each server of its directory; or that somebody took a lock away. */
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
  /** JSON of a LockVerdict; null: not looked at yet. */
  verdict: string | null
  /** JSON of a LockProblem that is to be told. */
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
  /** 1: what it would have written stands there, and is somebody else's. */
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

/** A user of a roll-out, and how far his new token is. */
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
  /** Who works on it, or did last. */
  owner: string
  changed_ms: number
}

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
  /** Since when it has been seen with this cause and owner. */
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
export type NewEventRow = Omit<Insertable<EventTable>, 'counted_ms' | 'tried_ms'>
/** Its later columns are filled in later. */
export type NewChangeRow = Omit<Selectable<ChangeTable>, 'arrived_ms' | 'is_others' | 'may_arrive_until_ms'>
export type MirrorRow = Selectable<MirrorTable>
export type AccountRow = Selectable<AccountTable>
export type ChangeRow = Selectable<ChangeTable>
export type JournalRow = Selectable<JournalTable>
