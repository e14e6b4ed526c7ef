/**
 * Words that administrators know from other programs, and what to run instead. They come before any likeness of letters:
 * `logs` is no `lock`.
 */
export interface OtherWord {
  readonly words: readonly string[]
  /** Command lines, each with what it does. Words in capitals stand for what to put there. */
  readonly run: readonly (readonly [line: string, what: string])[]
}

export const OTHER_WORDS: readonly OtherWord[] = [
  {
    words: ['log', 'logs', 'tail'],
    run: [
      ['journalctl -u lockstep', 'the log of the daemon'],
      ['lockstep show LOGIN', 'what happened to one account'],
      ['lockstep journal', 'the record of all events and changes'],
    ],
  },
  {
    words: ['history', 'timeline', 'audit'],
    run: [
      ['lockstep show LOGIN', 'what happened to one account'],
      ['lockstep journal', 'the record of all events and changes'],
    ],
  },
  {
    words: ['list', 'ls', 'users', 'user', 'account', 'locked', 'locks', 'holds'],
    run: [
      ['lockstep accounts --locked', 'who is locked'],
      ['lockstep accounts', 'all accounts on record'],
    ],
  },
  {
    words: ['token', 'tokens', 'serial', 'serials'],
    run: [
      ['lockstep show SERIAL', 'the account of a token'],
      ['lockstep owners', 'owners of tokens who have no account'],
    ],
  },
  {
    words: ['config', 'configuration', 'configure', 'settings', 'validate', 'verify', 'lint', 'configtest'],
    run: [
      ['lockstep check', 'whether the configuration is good'],
      ['lockstep journal --verify', 'whether the record is whole'],
    ],
  },
  {
    words: ['info', 'ps', 'stat', 'stats', 'state', 'queue', 'pending', 'dashboard', 'monitor', 'watch', 'top'],
    run: [['lockstep status', 'health, locked accounts, and what waits and why']],
  },
  {
    words: ['health', 'ping', 'alive'],
    run: [
      ['lockstep status --check', 'one line and an exit code for monitoring'],
      ['lockstep healthcheck', 'ends with 0 where the daemon serves'],
    ],
  },
  {
    words: ['start', 'run', 'daemon', 'up'],
    run: [
      ['systemctl start lockstep', 'the service'],
      ['lockstep serve', 'the daemon at this terminal'],
      ['lockstep drain', 'does what waits, and ends'],
    ],
  },
  {
    words: ['stop', 'quit', 'down', 'kill'],
    run: [
      ['systemctl stop lockstep', 'ends the service; events wait in the spool'],
      ['lockstep pause --reason TEXT', 'the service goes on and changes nothing'],
    ],
  },
  {
    words: ['restart', 'hup', 'refresh'],
    run: [
      ['lockstep reload', 'loads the configuration anew'],
      ['systemctl restart lockstep', 'where reload says that a key needs it'],
    ],
  },
  {
    words: ['test', 'try', 'diagnose', 'debug', 'troubleshoot'],
    run: [
      ['lockstep doctor', 'tries everything that a lock will need'],
      ['lockstep mail test ADDRESS', 'sends a test mail'],
      ['sudo lockstep shims test DIR', 'whether events arrive'],
    ],
  },
  {
    words: ['sync', 'synchronize', 'synchronise', 'compare', 'diff', 'repair', 'fix', 'scan'],
    run: [
      ['lockstep resync --dry-run', 'what differs from privacyIDEA'],
      ['lockstep resync', 'repairs it'],
    ],
  },
  {
    words: ['approve', 'reject', 'deny', 'confirm', 'breaker'],
    run: [
      ['lockstep review', 'what waits'],
      ['lockstep review approve LOGIN --reason TEXT', 'lets it be carried out'],
      ['lockstep review reject LOGIN --reason TEXT', 'keeps the account as it is'],
    ],
  },
  {
    words: ['block', 'disable', 'suspend', 'hold', 'ban'],
    run: [['lockstep lock LOGIN --reason TEXT', 'holds an account locked']],
  },
  {
    words: ['unblock', 'enable', 'release', 'free', 'reset'],
    run: [['lockstep unlock LOGIN --reason TEXT', 'releases every hold of an account']],
  },
  {
    words: ['continue', 'unpause', 'go'],
    run: [['lockstep resume --reason TEXT', 'lets changes go on after a pause']],
  },
  {
    words: ['revert', 'rollback', 'back'],
    run: [['lockstep undo --since 2h', 'shows what would be taken back']],
  },
  {
    words: ['uninstall', 'remove', 'delete', 'decommission', 'purge', 'clean'],
    run: [['lockstep retire', 'shows every lock and serial of ours, and how to remove them']],
  },
  {
    words: ['restore', 'recover', 'backup'],
    run: [['lockstep rebuild', 'restores a lost store from LDIF files and directory']],
  },
  {
    words: ['setup', 'install', 'new', 'create'],
    run: [
      ['lockstep init', 'writes a configuration'],
      ['lockstep shims install DIR', 'the scripts for privacyIDEA'],
      ['lockstep privacyidea setup', 'event handlers in privacyIDEA'],
    ],
  },
  {
    words: ['simulate', 'replay', 'dry-run', 'plan'],
    run: [['lockstep rehearse', 'who would have been locked, by the audit log']],
  },
  {
    words: ['email', 'mails', 'notify', 'notifications'],
    run: [['lockstep mail', 'mails to owners and the help desk']],
  },
  { words: ['recipe', 'handlers'], run: [['lockstep recipes', 'ready-made event handlers for privacyIDEA']] },
  { words: ['rollout', 'enrolment', 'enrollment'], run: [['lockstep enroll LOGIN --mail', 'makes a new token']] },
]
