/**
 * Commands that administrators know from other programs, and what to run instead. They are checked before similar
 * spellings: `logs` does not mean `lock`.
 */
export interface OtherWord {
  readonly words: readonly string[]
  /** Command lines, each with its purpose. Words in capitals are placeholders. */
  readonly run: readonly (readonly [line: string, what: string])[]
}

/** @param words with spaces between them */
function other(words: string, ...run: OtherWord['run']): OtherWord {
  return { words: words.split(' '), run }
}

export const OTHER_PROGRAMS: readonly OtherWord[] = [
  other(
    'log logs tail',
    ['journalctl -u lockstep', 'the log of the daemon'],
    ['lockstep show LOGIN', 'what happened to one account'],
    ['lockstep journal', 'the record of all events and changes'],
  ),
  other(
    'history timeline audit',
    ['lockstep show LOGIN', 'what happened to one account'],
    ['lockstep journal', 'the record of all events and changes'],
  ),
  other(
    'list ls users user account locked locks holds',
    ['lockstep accounts --locked', 'who is locked'],
    ['lockstep accounts', 'all accounts on record'],
  ),
  other(
    'token tokens serial serials',
    ['lockstep show SERIAL', 'the account of a token'],
    ['lockstep owners', 'owners of tokens who have no account'],
  ),
  other(
    'config configuration configure settings validate verify lint configtest',
    ['lockstep check', 'whether the configuration is good'],
    ['lockstep journal --verify', 'whether the record is whole'],
  ),
  other('info ps stat stats state queue pending dashboard monitor watch top', [
    'lockstep status',
    'health, locked accounts, and what waits and why',
  ]),
  other(
    'health ping alive',
    ['lockstep status --check', 'one line and an exit code for monitoring'],
    ['lockstep healthcheck', 'ends with 0 where the daemon serves'],
  ),
  other(
    'start run daemon up',
    ['systemctl start lockstep', 'the service'],
    ['lockstep serve', 'the daemon at this terminal'],
    ['lockstep drain', 'does what waits, and ends'],
  ),
  other(
    'stop quit down kill',
    ['systemctl stop lockstep', 'ends the service; events wait in the spool'],
    ['lockstep pause --reason TEXT', 'the service goes on and changes nothing'],
  ),
  other(
    'restart hup refresh',
    ['lockstep reload', 'loads the configuration anew'],
    ['systemctl restart lockstep', 'where reload says that a key needs it'],
  ),
  other(
    'test try diagnose debug troubleshoot',
    ['lockstep doctor', 'tries everything that a lock will need'],
    ['lockstep mail test ADDRESS', 'sends a test mail'],
    ['sudo lockstep shims test DIR', 'whether events arrive'],
  ),
  other(
    'sync synchronize synchronise compare diff repair fix scan',
    ['lockstep resync --dry-run', 'what differs from privacyIDEA'],
    ['lockstep resync', 'repairs it'],
  ),
  other(
    'approve reject deny confirm breaker',
    ['lockstep review', 'what waits'],
    ['lockstep review approve LOGIN --reason TEXT', 'lets it be carried out'],
    ['lockstep review reject LOGIN --reason TEXT', 'keeps the account as it is'],
  ),
  other('block disable suspend hold ban', ['lockstep lock LOGIN --reason TEXT', 'holds an account locked']),
  other('unblock enable release free reset', [
    'lockstep unlock LOGIN --reason TEXT',
    'releases every hold of an account',
  ]),
  other('continue unpause go', ['lockstep resume --reason TEXT', 'lets changes go on after a pause']),
  other('revert rollback back', ['lockstep undo --since 2h', 'shows what would be reverted']),
  other('uninstall remove delete decommission purge clean', [
    'lockstep retire',
    'shows every lock and serial of ours, and how to remove them',
  ]),
  other('restore recover backup', ['lockstep rebuild', 'restores a lost store from LDIF files and directory']),
  other(
    'setup install new create',
    ['lockstep init', 'writes a configuration'],
    ['lockstep shims install DIR', 'the scripts for privacyIDEA'],
    ['lockstep privacyidea setup', 'event handlers in privacyIDEA'],
  ),
  other('simulate replay dry-run plan', ['lockstep rehearse', 'who would have been locked, by the audit log']),
  other('email mails notify notifications', ['lockstep mail', 'mails to owners and the help desk']),
  { words: ['recipe', 'handlers'], run: [['lockstep recipes', 'ready-made event handlers for privacyIDEA']] },
  { words: ['rollout', 'enrolment', 'enrollment'], run: [['lockstep enroll LOGIN --mail', 'makes a new token']] },
]
