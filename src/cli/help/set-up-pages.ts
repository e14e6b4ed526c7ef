import type { HelpPages } from './page.ts'

/** Commands that set Lockstep and privacyIDEA up, and those that run it. */
export const SET_UP_PAGES: HelpPages = {
  init: {
    summary: 'write a configuration, by questions or by options',
    examples: [
      ['asks what it needs to know', 'lockstep init'],
      [
        'asks nothing',
        'lockstep init --yes --url ldaps://ldap.example.org \\\n      --bind-dn cn=lockstep,dc=example,dc=org --bind-password-file ldap-password',
      ],
    ],
    exits: { 64: 'a file is there already: --force replaces it' },
  },
  check: {
    summary: 'check the configuration file and the files that it names',
    examples: [
      ['the file in use', 'lockstep check'],
      ['another file, before it replaces that', 'lockstep check --config lockstep.yaml.new'],
      ['also who may read each secret', 'lockstep check --explain'],
    ],
    exits: { 0: 'no mistake; there may be warnings', 78: 'the file has a mistake' },
  },
  doctor: {
    summary: 'try everything that a lock will need',
    note: 'With the password of the test account in LOCKSTEP_PROBE_PASSWORD it also tries whether a bind is refused while locked.',
    examples: [
      ['changes nothing', 'lockstep doctor'],
      ['also locks and unlocks a test account', 'lockstep doctor --probe test-user'],
      ['also looks at event handlers in privacyIDEA', 'lockstep doctor --privacyidea-admin admin'],
      ['for a script', 'lockstep doctor --json'],
    ],
    exits: { 0: 'nothing failed', 69: 'a server could not be reached', 78: 'something has to be set up' },
  },
  directory: { summary: 'which directories these are; accept one that was moved', examples: [] },
  'directory show': {
    summary: 'what each server says it is',
    examples: [['all directories', 'lockstep directory show']],
    exits: { 78: 'another directory answers than the one on record' },
  },
  'directory accept': {
    summary: 'accept the directory that answers now',
    examples: [
      ['after directory main was set up anew', 'lockstep directory accept main'],
      ['with a reason, for the record', 'lockstep directory accept main --reason "restored from the backup"'],
    ],
  },
  shims: { summary: 'install and test the scripts that privacyIDEA calls', examples: [] },
  'shims install': {
    summary: 'write the four scripts into a folder',
    examples: [
      [
        'privacyIDEA runs in the group privacyidea',
        'lockstep shims install /etc/privacyidea/scripts --group privacyidea',
      ],
      [
        'without a configuration on this machine',
        'lockstep shims install /etc/privacyidea/scripts --group privacyidea \\\n      --spool /var/spool/lockstep',
      ],
    ],
  },
  'shims test': {
    summary: 'run each script, and look whether its event arrives',
    examples: [['as root', 'sudo lockstep shims test /etc/privacyidea/scripts']],
    exits: { 77: 'the scripts could not be run as that user', 78: 'an event did not arrive' },
  },
  privacyidea: { summary: 'set up event handlers and policies in privacyIDEA', examples: [] },
  'privacyidea setup': {
    summary: 'create or update event handlers and policies',
    examples: [
      ['shows what would change', 'lockstep privacyidea setup --user admin --dry-run'],
      [
        'privacyIDEA is on this machine',
        'lockstep privacyidea setup --user admin --scripts-dir /etc/privacyidea/scripts',
      ],
      ['by webhook, with the policies', 'lockstep privacyidea setup --user admin --via webhook --policies'],
      ['the calls for doing it by hand', 'lockstep privacyidea setup --print --for 3.14'],
    ],
  },
  recipes: { summary: 'ready-made event handlers for privacyIDEA', examples: [] },
  'recipes list': {
    summary: 'list the recipes; the default',
    examples: [
      ['the recipes', 'lockstep recipes'],
      ['also which of them are in privacyIDEA', 'lockstep recipes list --user admin'],
    ],
  },
  'recipes show': {
    summary: 'what a recipe is for, its risk and its parameters',
    examples: [
      ['read it first', 'lockstep recipes show lock-mail-owner'],
      ['to make one of your own of it', 'lockstep recipes show lock-mail-owner --yaml'],
    ],
  },
  'recipes apply': {
    summary: 'create or update the handlers of a recipe',
    examples: [
      ['shows what would change', 'lockstep recipes apply lock-mail-owner --user admin --set smtp=mail --dry-run'],
    ],
  },
  'recipes remove': {
    summary: 'remove the handlers of a recipe, and no other',
    examples: [['shows what would change', 'lockstep recipes remove lock-mail-owner --user admin --dry-run']],
  },
  rehearse: {
    summary: 'replay the audit log: who would have been locked',
    examples: [
      ['the last 90 days', 'lockstep rehearse'],
      ['the last 30, and a page with a chart', 'lockstep rehearse --since 30d --out rehearsal.html'],
    ],
  },
  serve: {
    summary: 'run the daemon in the foreground',
    examples: [
      ['at a terminal; Ctrl-C ends it', 'lockstep serve'],
      ['with another configuration', 'lockstep serve --config ./lockstep.yaml'],
    ],
    exits: { 69: 'a daemon works on this store already', 78: 'the configuration has a mistake' },
  },
  reload: {
    summary: 'make the daemon load its configuration anew',
    examples: [
      ['waits for the outcome', 'lockstep reload'],
      ['a slow directory is tried first', 'lockstep reload --timeout 5m'],
    ],
    exits: { 69: 'no daemon serves', 78: 'a mistake: the configuration of before goes on' },
  },
  drain: {
    summary: 'do what waits and end, for cron',
    examples: [
      ['by hand', 'lockstep drain'],
      ['from cron, with a line for each change', 'lockstep drain --timeout 50s --log'],
    ],
    exits: { 0: 'nothing waits any more', 75: 'something could not be done now' },
  },
  healthcheck: {
    summary: 'end with 0 where the daemon serves and works',
    examples: [
      ['for a container', 'lockstep healthcheck'],
      ['after a start', 'lockstep healthcheck --wait 30s'],
    ],
    exits: { 0: 'it serves and works', 69: 'it does not' },
  },
}
