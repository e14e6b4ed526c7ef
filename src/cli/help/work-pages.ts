import { NOTICE_KINDS } from '../../core/mail/notice.ts'
import type { HelpPages } from './page.ts'

/** Commands that look, act and repair. */
export const WORK_PAGES: HelpPages = {
  status: {
    summary: 'health, locked accounts, and what waits and why',
    examples: [
      ['for people', 'lockstep status'],
      ['one line for monitoring', 'lockstep status --check'],
      ['for a script', 'lockstep status --json'],
    ],
    exits: {
      0: 'it was read; with --check: all is well',
      1: '--check: warning',
      2: '--check: critical',
      3: '--check: unknown',
    },
  },
  accounts: {
    summary: 'the accounts on record, and their holds',
    examples: [
      ['the first 1000', 'lockstep accounts'],
      ['who is locked', 'lockstep accounts --locked'],
    ],
  },
  show: {
    summary: 'one account: holds, serials, and what happened',
    examples: [
      ['by login', 'lockstep show alice'],
      ['by the serial of a token', 'lockstep show TOTP0001'],
    ],
    exits: { 67: 'nothing is on record of that name' },
  },
  owners: {
    summary: 'owners of tokens who have no account, and why',
    examples: [
      ['all of them', 'lockstep owners'],
      ['of one cause', 'lockstep owners --cause no-account'],
    ],
    exits: { 78: 'the section privacyidea is missing' },
  },
  events: {
    summary: 'the newest events, and what became of each',
    examples: [
      ['the last 50', 'lockstep events'],
      ['what waits for its account', 'lockstep events --state waiting'],
    ],
  },
  journal: {
    summary: 'the record of everything; --verify checks it',
    examples: [
      ['the newest 20 records', 'lockstep journal --limit 20'],
      ['whether any record was changed or removed', 'lockstep journal --verify'],
    ],
    exits: { 65: '--verify: the chain is broken' },
  },
  mail: { summary: 'mails to owners and the help desk: what was sent', examples: [] },
  'mail list': {
    summary: 'the newest mails; the default',
    examples: [
      ['the newest 50', 'lockstep mail'],
      ['what is not sent yet', 'lockstep mail list --state unsent'],
    ],
    exits: { 78: 'no mail is configured' },
  },
  'mail retry': {
    summary: 'try again now, also such as were given up',
    examples: [['all that wait', 'lockstep mail retry --all']],
    exits: { 67: 'there is no such mail', 78: 'no mail is configured' },
  },
  'mail drop': {
    summary: 'never send these',
    examples: [['all that wait', 'lockstep mail drop --all']],
    exits: { 67: 'there is no such mail', 78: 'no mail is configured' },
  },
  'mail test': {
    summary: 'send a test mail now',
    examples: [['by the server of the configuration', 'lockstep mail test anna@example.org']],
    exits: { 69: 'the mail server refuses it', 75: 'the mail server cannot be reached' },
  },
  'mail preview': {
    summary: 'print a mail as it would be; nothing is sent',
    note: `Kinds: ${NOTICE_KINDS.join(', ')}, and digest, which names many things.`,
    examples: [
      ['what an owner reads', 'lockstep mail preview locked'],
      ['in German, for the help desk', 'lockstep mail preview locked --to help-desk --lang de'],
    ],
  },
  version: {
    summary: 'versions of Lockstep and of what it runs on',
    examples: [
      ['for a report', 'lockstep version'],
      ['for a script', 'lockstep version --json'],
    ],
  },
  help: {
    summary: 'how a command is used',
    examples: [
      ['one command', 'lockstep help lock'],
      ['one of a group', 'lockstep help review approve'],
    ],
  },
  lock: {
    summary: 'hold an account locked, whatever its tokens say',
    examples: [
      ['until lockstep unlock', 'lockstep lock alice --reason "phone stolen"'],
      ['for two hours', 'lockstep lock alice --for 2h --reason "unusual logins"'],
    ],
    exits: {
      0: 'locked',
      67: 'there is no such account',
      69: 'the lock is written and is not enforced',
      75: 'on record, not yet carried out',
      77: 'the account is protected',
    },
  },
  unlock: {
    summary: 'release every hold of an account',
    examples: [
      ['the fail counter in privacyIDEA stays as it is', 'lockstep unlock alice --reason "verified by phone"'],
      ['also resets it, in mode api', 'lockstep unlock alice --reset-token --reason "verified by phone"'],
    ],
    exits: {
      0: 'unlocked, or it was not locked',
      67: 'there is no such account',
      69: 'somebody else’s lock still stands',
      75: 'on record, not yet carried out',
      77: 'unlocked; privacyIDEA refuses the reset',
    },
  },
  enroll: {
    summary: 'make a new token, and mail its QR code',
    examples: [
      ['mails the code to its owner', 'lockstep enroll alice --mail'],
      ['a roll-out: for whom', 'lockstep enroll --csv users.csv --mail --dry-run'],
      ['all members of a group', 'lockstep enroll --group cn=staff,ou=groups,dc=example,dc=org --mail'],
    ],
    exits: { 65: 'the CSV file has mistakes', 75: 'some could not be made: the same command goes on' },
  },
  review: { summary: 'what the breakers hold back: approve or reject it', examples: [] },
  'review list': {
    summary: 'the locks and losses that wait; the default',
    examples: [
      ['all of them', 'lockstep review'],
      ['only locks', 'lockstep review list --kind lock'],
    ],
  },
  'review show': {
    summary: 'what waits of one account, with its LDIF',
    examples: [['before you decide', 'lockstep review show alice']],
    exits: { 67: 'nothing of that account waits' },
  },
  'review approve': {
    summary: 'let what waits be carried out',
    examples: [
      ['one account', 'lockstep review approve alice --reason "a real attack"'],
      ['all locks', 'lockstep review approve --all --kind lock --reason "a real attack"'],
    ],
    exits: { 67: 'no such lock or loss waits', 77: 'another person has to approve it' },
  },
  'review reject': {
    summary: 'keep the accounts as they are',
    examples: [
      ['one account', 'lockstep review reject alice --reason "a test"'],
      ['all of a realm', 'lockstep review reject --realm example --reason "resolver was down"'],
    ],
    exits: { 67: 'no such lock or loss waits' },
  },
  'review resume': {
    summary: 'close the breakers: count from nothing again',
    examples: [['both breakers', 'lockstep review resume --reason "the attack is over"']],
  },
  pause: {
    summary: 'stop all changes, or those of one directory',
    examples: [
      ['everything', 'lockstep pause --reason "directory maintenance"'],
      ['one directory', 'lockstep pause --directory main --reason "directory maintenance"'],
    ],
  },
  resume: {
    summary: 'let changes go on after a pause',
    examples: [
      ['everything', 'lockstep resume --reason "maintenance is over"'],
      ['one directory', 'lockstep resume --directory main --reason "maintenance is over"'],
    ],
  },
  retry: {
    summary: 'try again now what waits or failed',
    examples: [['after the cause is mended', 'lockstep retry']],
  },
  resync: {
    summary: 'compare everything with privacyIDEA, and repair',
    examples: [
      ['shows what differs', 'lockstep resync --dry-run'],
      ['repairs it', 'lockstep resync'],
      ['serials and locks that nothing explains', 'lockstep resync --adopt'],
    ],
    exits: { 75: 'a directory did not answer; the others were done' },
  },
  undo: {
    summary: 'take back what was changed within a time',
    examples: [
      ['shows what would be taken back', 'lockstep undo --since 2h'],
      ['does it', 'lockstep undo --since 2h --yes --reason "wrong resolver"'],
      ['a time in the past', 'lockstep undo --since 2026-11-24T10:00Z --until 2026-11-24T11:00Z'],
    ],
    exits: { 75: 'on record, not yet carried out' },
  },
  rebuild: {
    summary: 'restore a lost store from LDIF files and directory',
    examples: [['the daemon must not run', 'lockstep rebuild']],
    exits: { 65: 'not all files could be read', 69: 'a daemon works on this store' },
  },
  retire: {
    summary: 'give a directory up, or uninstall Lockstep',
    examples: [
      ['shows what of ours is there', 'lockstep retire main'],
      ['releases it, and proves it', 'lockstep retire main --yes'],
      ['takes the order back', 'lockstep retire main --cancel'],
      ['everything, to uninstall Lockstep', 'lockstep retire --yes --user admin'],
    ],
    exits: { 0: 'nothing of ours is left', 75: 'something is left' },
  },
}
