import { page, type HelpPages } from './page.ts'

/** Commands to set up Lockstep and privacyIDEA, and to run Lockstep. */
export const SET_UP_PAGES: HelpPages = {
  init: page(
    {
      summary: 'write a configuration, by questions or by options',
      exits: { 64: 'a file is there already: --force replaces it' },
    },
    ['asks what it needs to know', 'lockstep init'],
    [
      'asks nothing',
      'lockstep init --yes --url ldaps://ldap.example.org \\\n      --bind-dn cn=lockstep,dc=example,dc=org --bind-password-file ldap-password',
    ],
  ),
  check: page(
    {
      summary: 'check the configuration file and the files that it names',
      exits: { 0: 'no mistake; there may be warnings', 78: 'the file has a mistake' },
    },
    ['the file in use', 'lockstep check'],
    ['another file, before it replaces that', 'lockstep check --config lockstep.yaml.new'],
    ['also who may read each secret', 'lockstep check --explain'],
  ),
  doctor: page(
    {
      summary: 'try everything that a lock will need',
      note: 'With the password of the test account in LOCKSTEP_PROBE_PASSWORD it also tries whether a bind is refused while locked.',
      exits: { 0: 'nothing failed', 69: 'a server could not be reached', 78: 'something has to be set up' },
    },
    ['changes nothing', 'lockstep doctor'],
    ['also locks and unlocks a test account', 'lockstep doctor --probe test-user'],
    ['also looks at event handlers in privacyIDEA', 'lockstep doctor --privacyidea-admin admin'],
    ['for a script', 'lockstep doctor --json'],
  ),
  directory: { summary: 'which directories these are; accept one that was moved', examples: [] },
  'directory show': page(
    {
      summary: 'what each server reports of itself',
      exits: { 78: 'another directory answers than the one on record' },
    },
    ['all directories', 'lockstep directory show'],
  ),
  'directory accept': page(
    { summary: 'accept the directory that answers now' },
    ['after directory main was set up anew', 'lockstep directory accept main'],
    ['with a reason, for the record', 'lockstep directory accept main --reason "restored from the backup"'],
  ),
  shims: { summary: 'install and test the scripts that privacyIDEA calls', examples: [] },
  'shims install': page(
    { summary: 'write the four scripts into a folder' },
    [
      'privacyIDEA runs in the group privacyidea',
      'lockstep shims install /etc/privacyidea/scripts --group privacyidea',
    ],
    [
      'without a configuration on this machine',
      'lockstep shims install /etc/privacyidea/scripts --group privacyidea \\\n      --spool /var/spool/lockstep',
    ],
  ),
  'shims test': page(
    {
      summary: 'run each script, and look whether its event arrives',
      exits: { 77: 'the scripts could not be run as that user', 78: 'an event did not arrive' },
    },
    ['as root', 'sudo lockstep shims test /etc/privacyidea/scripts'],
  ),
  privacyidea: { summary: 'set up event handlers and policies in privacyIDEA', examples: [] },
  'privacyidea setup': page(
    { summary: 'create or update event handlers and policies' },
    ['shows what would change', 'lockstep privacyidea setup --user admin --dry-run'],
    [
      'privacyIDEA is on this machine',
      'lockstep privacyidea setup --user admin --scripts-dir /etc/privacyidea/scripts',
    ],
    ['by webhook, with the policies', 'lockstep privacyidea setup --user admin --via webhook --policies'],
    ['the calls for doing it by hand', 'lockstep privacyidea setup --print --for 3.14'],
  ),
  recipes: { summary: 'ready-made event handlers for privacyIDEA', examples: [] },
  'recipes list': page(
    { summary: 'list the recipes; the default' },
    ['the recipes', 'lockstep recipes'],
    ['also which of them are in privacyIDEA', 'lockstep recipes list --user admin'],
  ),
  'recipes show': page(
    { summary: 'what a recipe is for, its risk and its parameters' },
    ['read it first', 'lockstep recipes show lock-mail-owner'],
    ['to make one of your own of it', 'lockstep recipes show lock-mail-owner --yaml'],
  ),
  'recipes apply': page({ summary: 'create or update the handlers of a recipe' }, [
    'shows what would change',
    'lockstep recipes apply lock-mail-owner --user admin --set smtp=mail --dry-run',
  ]),
  'recipes remove': page({ summary: 'remove the handlers of a recipe, and no other' }, [
    'shows what would change',
    'lockstep recipes remove lock-mail-owner --user admin --dry-run',
  ]),
  rehearse: page(
    { summary: 'replay the audit log: who would have been locked' },
    ['the last 90 days', 'lockstep rehearse'],
    ['the last 30, and a page with a chart', 'lockstep rehearse --since 30d --out rehearsal.html'],
  ),
  serve: page(
    {
      summary: 'run the daemon in the foreground',
      exits: { 69: 'a daemon works on this store already', 78: 'the configuration has a mistake' },
    },
    ['at a terminal; Ctrl-C ends it', 'lockstep serve'],
    ['with another configuration', 'lockstep serve --config ./lockstep.yaml'],
  ),
  reload: page(
    {
      summary: 'make the daemon load its configuration anew',
      exits: { 69: 'no daemon serves', 78: 'a mistake: the configuration of before goes on' },
    },
    ['waits for the outcome', 'lockstep reload'],
    ['a slow directory is tried first', 'lockstep reload --timeout 5m'],
  ),
  drain: page(
    {
      summary: 'do what waits and end, for cron',
      exits: { 0: 'nothing waits any more', 75: 'something could not be done now' },
    },
    ['by hand', 'lockstep drain'],
    ['from cron, with a line for each change', 'lockstep drain --timeout 50s --log'],
  ),
  healthcheck: page(
    { summary: 'end with 0 where the daemon serves and works', exits: { 0: 'it serves and works', 69: 'it does not' } },
    ['for a container', 'lockstep healthcheck'],
    ['after a start', 'lockstep healthcheck --wait 30s'],
  ),
}
