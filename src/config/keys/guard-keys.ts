import { BREAKER_SCOPES } from '../../core/guards/breaker.ts'
import { derived, nullable, optionalSection, section, withDefault } from './keys.ts'
import * as values from './values.ts'
import { isSection, list, mapOf, Reason, section as sectionOf, single } from './value.ts'

/** The keys of the section `guards`, and those that other sections share with it. */

/** Accounts that are never locked: for all directories, or for one. */
export const PROTECT = {
  dns: withDefault(
    list(values.dn, 0, 1000, '["cn=admin,dc=example,dc=org"]'),
    [],
    'These accounts are never locked. The bind account never is.',
  ),
  subtrees: withDefault(
    list(values.dn, 0, 100, '["ou=services,dc=example,dc=org"]'),
    [],
    'Accounts that lie below one of these entries are never locked.',
  ),
  filter: nullable(values.filter, 'An account that matches it is never locked.'),
  groups: withDefault(
    list(values.dn, 0, 64, '["cn=admins,ou=groups,dc=example,dc=org"]'),
    [],
    'Members of these groups are never locked, nor those of the groups in them. While one of them cannot be read, nobody is locked.',
  ),
  attributes: withDefault(
    mapOf(values.texts, 'attributes and their values, as in { employeeType: [service, vip] }'),
    {},
    'An account that has one of these values is never locked.',
  ),
}

const BREAKER_LIMIT = {
  of: withDefault(
    values.choice(BREAKER_SCOPES),
    'all',
    'What is counted: all locks, or those of each directory, realm or organisational unit by itself.',
  ),
  only: withDefault(
    list(values.text, 0, 1000, '[example]'),
    [],
    'Only these directories or realms, or these units (DNs) with all below. Empty: each; a unit is then what the account lies directly in.',
  ),
  maxLocks: derived(values.integer(1, 1_000_000), null, 'Locks at most within `per`. This or `share`.'),
  share: derived(
    values.percent,
    null,
    "Part of the directory's known accounts, at least 5 accounts. This or `maxLocks`.",
  ),
  per: withDefault(values.duration(1000, 30 * 86_400_000), '10m', 'The window of time.'),
}

const BREAKER = {
  maxLocks: withDefault(values.integer(1, 1_000_000), 20, 'Locks at most within `per`, over all directories.'),
  per: withDefault(values.duration(1000, 30 * 86_400_000), '10m', 'The window of time.'),
  limits: withDefault(
    list(sectionOf(BREAKER_LIMIT), 0, 32, '[{ of: realm, maxLocks: 10, per: 1h }]'),
    [],
    'Further limits; each must leave room for a lock.',
  ),
  reset: withDefault(
    values.choice(['auto', 'manual']),
    'auto',
    '`auto`: what waits is locked by itself as far as the limits leave room again. `manual`: once a limit was reached, no lock passes it until `lockstep review resume`.',
  ),
  approvals: withDefault(values.integer(1, 2), 1, 'How many different persons must approve a lock that waits.'),
}

const LOSS_BREAKER = {
  maxLosses: withDefault(values.integer(1, 1_000_000), 20, 'Losses at most within `per`.'),
  share: withDefault(
    values.percent,
    '10%',
    'Part of the tokens on record, at least 5 tokens. The smaller of this and `maxLosses` counts.',
  ),
  per: withDefault(values.duration(1000, 30 * 86_400_000), '10m', 'The window of time.'),
  reset: withDefault(
    values.choice(['auto', 'manual']),
    'manual',
    '`manual`: once the limit was reached, nothing more passes until all that waits was decided about (`lockstep review`), or is listed again. `auto`: what waits passes by itself as far as the limit leaves room again.',
  ),
}

const dryRunScope = sectionOf({
  directories: withDefault(list(values.text, 0, 64, '[corp]'), [], 'Only these directories.'),
  realms: withDefault(list(values.text, 0, 1000, '[example]'), [], 'Only users of these realms.'),
})

/** `true`, `false`, or the operations that it applies to. */
const dryRun = {
  ...single('true, false, or directories and realms, as in { directories: [corp] }', {}, (raw) =>
    typeof raw === 'boolean' ? { isForAll: raw, directories: [], realms: [] } : new Reason(''),
  ),
  children: dryRunScope.children,
  json: () => ({ anyOf: [{ type: 'boolean' }, dryRunScope.json()] }),
}

export const GUARDS = {
  dryRun: withDefault(
    { ...dryRun, read: readDryRun },
    false,
    'Plan and record, and write nothing into a directory: everywhere, or for some directories or realms.',
  ),
  protect: section(PROTECT, 'Accounts that are never locked, in every directory.'),
  breaker: optionalSection(
    BREAKER,
    {},
    'Stops a mass lock-out: past a limit locks wait in the review queue (`lockstep review`). Left out it is on, with the defaults; `null` switches it off.',
  ),
  lossBreaker: optionalSection(
    LOSS_BREAKER,
    {},
    'Stops a mass loss, with `privacyidea` only: where more tokens than this vanish without a reason, or lose their owner, serials and locks stay, and the loss waits in the review queue (`lockstep review`). Left out it is on, with the defaults; `null` switches it off.',
  ),
}

export interface DryRunFile {
  readonly isForAll: boolean
  readonly directories: readonly string[]
  readonly realms: readonly string[]
}

function readDryRun(
  ...[raw, path, reading]: Parameters<typeof dryRun.read>
): DryRunFile | ReturnType<typeof dryRun.read> {
  if (!isSection(raw)) return dryRun.read(raw, path, reading)
  const scope = dryRunScope.read(raw, path, reading)
  return typeof scope === 'symbol' ? scope : { isForAll: false, ...scope }
}

export const LOCK_BACKOFF = {
  factor: withDefault(values.integer(1, 100), 2, 'By how much each further lock lasts longer than the one before.'),
  max: withDefault(values.duration(1000), '24h', 'No lock lasts longer.'),
  resetAfter: withDefault(
    values.duration(1000),
    '24h',
    'So long after a lock has ended the next one counts as the first.',
  ),
}
