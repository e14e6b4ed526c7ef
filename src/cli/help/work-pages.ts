import { NOTICE_KINDS } from '../../core/mail/notice.ts'
import { page, type HelpPages } from './page.ts'

/** Commands to show, change and repair. */
export const WORK_PAGES: HelpPages = {
  status: page(
    {
      summary: 'health, locked accounts, and what waits and why',
      exits: {
        0: 'it was read; with --check: all is well',
        1: '--check: warning',
        2: '--check: critical',
        3: '--check: unknown',
      },
    },
    ['for people', 'lockstep status'],
    ['one line for monitoring', 'lockstep status --check'],
    ['for a script', 'lockstep status --json'],
  ),
  accounts: page(
    { summary: 'the accounts on record, and their holds' },
    ['the first 1000', 'lockstep accounts'],
    ['who is locked', 'lockstep accounts --locked'],
  ),
  show: page(
    { summary: 'one account: holds, serials, and what happened', exits: { 67: 'nothing is on record of that name' } },
    ['by login', 'lockstep show alice'],
    ['by the serial of a token', 'lockstep show TOTP0001'],
  ),
  owners: page(
    { summary: 'owners of tokens who have no account, and why', exits: { 78: 'the section privacyidea is missing' } },
    ['all of them', 'lockstep owners'],
    ['of one cause', 'lockstep owners --cause no-account'],
  ),
  events: page(
    { summary: 'the newest events, and what became of each' },
    ['the last 50', 'lockstep events'],
    ['what waits for its account', 'lockstep events --state waiting'],
  ),
  journal: page(
    { summary: 'the record of everything; --verify checks it', exits: { 65: '--verify: the chain is broken' } },
    ['the newest 20 records', 'lockstep journal --limit 20'],
    ['whether any record was changed or removed', 'lockstep journal --verify'],
  ),
  mail: { summary: 'mails to owners and the help desk: what was sent', examples: [] },
  'mail list': page(
    { summary: 'the newest mails; the default', exits: { 78: 'no mail is configured' } },
    ['the newest 50', 'lockstep mail'],
    ['what is not sent yet', 'lockstep mail list --state unsent'],
  ),
  'mail retry': page(
    {
      summary: 'try again now, also such as were given up',
      exits: { 67: 'there is no such mail', 78: 'no mail is configured' },
    },
    ['all that wait', 'lockstep mail retry --all'],
  ),
  'mail drop': page(
    { summary: 'never send these', exits: { 67: 'there is no such mail', 78: 'no mail is configured' } },
    ['all that wait', 'lockstep mail drop --all'],
  ),
  'mail test': page(
    {
      summary: 'send a test mail now',
      exits: { 69: 'the mail server refuses it', 75: 'the mail server cannot be reached' },
    },
    ['by the server of the configuration', 'lockstep mail test anna@example.org'],
  ),
  'mail preview': page(
    {
      summary: 'print a mail as it would be; nothing is sent',
      note: `Kinds: ${NOTICE_KINDS.join(', ')}, and digest, which names many things.`,
    },
    ['what an owner reads', 'lockstep mail preview locked'],
    ['in German, for the help desk', 'lockstep mail preview locked --to help-desk --lang de'],
  ),
  version: page(
    { summary: 'versions of Lockstep and of what it runs on' },
    ['for a report', 'lockstep version'],
    ['for a script', 'lockstep version --json'],
  ),
  help: page(
    { summary: 'how a command is used' },
    ['one command', 'lockstep help lock'],
    ['one of a group', 'lockstep help review approve'],
  ),
  lock: page(
    {
      summary: 'hold an account locked, whatever the state of its tokens',
      exits: {
        0: 'locked',
        67: 'there is no such account',
        69: 'the lock is written and is not enforced',
        75: 'on record, not yet carried out',
        77: 'the account is protected',
      },
    },
    ['until lockstep unlock', 'lockstep lock alice --reason "phone stolen"'],
    ['for two hours', 'lockstep lock alice --for 2h --reason "unusual logins"'],
  ),
  unlock: page(
    {
      summary: 'release every hold of an account',
      exits: {
        0: 'unlocked, or it was not locked',
        67: 'there is no such account',
        69: 'somebody else’s lock is still there',
        75: 'on record, not yet carried out',
        77: 'unlocked; privacyIDEA refuses the reset',
      },
    },
    ['the fail counter in privacyIDEA stays as it is', 'lockstep unlock alice --reason "verified by phone"'],
    ['also resets it, in mode api', 'lockstep unlock alice --reset-token --reason "verified by phone"'],
  ),
  enroll: page(
    {
      summary: 'make a new token, and mail its QR code',
      exits: { 65: 'the CSV file has mistakes', 75: 'some could not be made: the same command goes on' },
    },
    ['mails the code to its owner', 'lockstep enroll alice --mail'],
    ['a roll-out: for whom', 'lockstep enroll --csv users.csv --mail --dry-run'],
    ['all members of a group', 'lockstep enroll --group cn=staff,ou=groups,dc=example,dc=org --mail'],
  ),
  review: { summary: 'what the breakers hold back: approve or reject it', examples: [] },
  'review list': page(
    { summary: 'the locks and losses that wait; the default' },
    ['all of them', 'lockstep review'],
    ['only locks', 'lockstep review list --kind lock'],
  ),
  'review show': page(
    { summary: 'what waits of one account, with its LDIF', exits: { 67: 'nothing of that account waits' } },
    ['before you decide', 'lockstep review show alice'],
  ),
  'review approve': page(
    {
      summary: 'let what waits be carried out',
      exits: { 67: 'no such lock or loss waits', 77: 'another person has to approve it' },
    },
    ['one account', 'lockstep review approve alice --reason "a real attack"'],
    ['all locks', 'lockstep review approve --all --kind lock --reason "a real attack"'],
  ),
  'review reject': page(
    { summary: 'keep the accounts as they are', exits: { 67: 'no such lock or loss waits' } },
    ['one account', 'lockstep review reject alice --reason "a test"'],
    ['all of a realm', 'lockstep review reject --realm example --reason "resolver was down"'],
  ),
  'review resume': page({ summary: 'close the breakers: count from nothing again' }, [
    'both breakers',
    'lockstep review resume --reason "the attack is over"',
  ]),
  pause: page(
    { summary: 'stop all changes, or those of one directory' },
    ['everything', 'lockstep pause --reason "directory maintenance"'],
    ['one directory', 'lockstep pause --directory main --reason "directory maintenance"'],
  ),
  resume: page(
    { summary: 'let changes go on after a pause' },
    ['everything', 'lockstep resume --reason "maintenance is over"'],
    ['one directory', 'lockstep resume --directory main --reason "maintenance is over"'],
  ),
  retry: page({ summary: 'try again now what waits or failed' }, ['after the cause is mended', 'lockstep retry']),
  resync: page(
    {
      summary: 'compare everything with privacyIDEA, and repair',
      exits: { 75: 'a directory did not answer; the others were done' },
    },
    ['shows what differs', 'lockstep resync --dry-run'],
    ['repairs it', 'lockstep resync'],
    ['serials and locks that nothing explains', 'lockstep resync --adopt'],
  ),
  undo: page(
    { summary: 'revert what was changed within a time', exits: { 75: 'on record, not yet carried out' } },
    ['shows what would be reverted', 'lockstep undo --since 2h'],
    ['does it', 'lockstep undo --since 2h --yes --reason "wrong resolver"'],
    ['a time in the past', 'lockstep undo --since 2026-11-24T10:00Z --until 2026-11-24T11:00Z'],
  ),
  rebuild: page(
    {
      summary: 'restore a lost store from LDIF files and directory',
      exits: { 65: 'not all files could be read', 69: 'a daemon works on this store' },
    },
    ['the daemon must not run', 'lockstep rebuild'],
  ),
  retire: page(
    {
      summary: 'give a directory up, or uninstall Lockstep',
      exits: { 0: 'nothing of ours is left', 75: 'something is left' },
    },
    ['shows what of ours is there', 'lockstep retire main'],
    ['releases it, and proves it', 'lockstep retire main --yes'],
    ['takes the order back', 'lockstep retire main --cancel'],
    ['everything, to uninstall Lockstep', 'lockstep retire --yes --user admin'],
  ),
}
