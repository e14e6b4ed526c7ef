import { AndFilter, NotFilter, PresenceFilter, type Control, type Filter } from 'ldapts'
import type { ChangeDraft, EntryModification } from '../../core/account/change.ts'
import { AppError, toAppError } from '../../core/error.ts'
import { asDn } from '../../core/names.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { Account, AccountReader } from './account.ts'
import type { Connection } from '../ldap/connection.ts'
import { AssertionControl, PostReadControl } from '../protocol/controls.ts'
import { idFilter } from './directory-searches.ts'
import { sameValues, type EntryVersion } from '../../core/account/state.ts'
import type { EntryVersions } from './entry-version.ts'
import { readReal } from './stored-values.ts'
import { normalDn } from '../../core/dn.ts'
import type { Pool } from '../pool/pool.ts'

/** What was read after a write (null: nothing was), and the server that took it, as in the configuration. */
export interface Written {
  readonly account: Account | null
  readonly url: string
}

/** The account's own entry as it was read; undefined: it may have changed since. */
export interface VersionAsRead {
  readonly asRead: EntryVersion | undefined
  readonly versions: EntryVersions
}

/**
 * Writes the modifications of a change, one LDAP modify an entry, in their order. Where a later entry refuses, the
 * earlier ones are reverted.
 *
 * The account's own entry is written only while it is the same account (RFC 4528 with its id, where the server has
 * that), and read in the same answer (RFC 4527, likewise), or by the next request on the same connection: another
 * server may not have it yet. With `asRead` it is written only while it was not written since, where the server can
 * check that.
 * @param address the name of the account's own entry, where it is written
 * @returns null: the account's own entry was not written
 * Fails with `write-raced`, `entry-not-found` (of the account's own entry), `outcome-unknown`, and what refuses a
 * write.
 */
export async function writeChange(
  pool: Pool,
  settings: DirectorySettings,
  reader: AccountReader,
  address: string,
  change: ChangeDraft,
  version: VersionAsRead,
): Promise<Written | null> {
  const ownDn = normalDn(change.dn)
  let after: Written | null = null
  for (const [index, step] of change.forward.entries()) {
    const isOwn = step.dn === change.dn || normalDn(step.dn) === ownDn
    try {
      if (isOwn) after = await writeOwn(pool, settings, reader, change, { ...step, dn: asDn(address) }, version)
      else await writeElsewhere(pool, settings, change, step)
    } catch (error) {
      if (index > 0) await takeBack(pool, settings, change, index)
      throw error
    }
  }
  return after
}

async function writeOwn(
  pool: Pool,
  settings: DirectorySettings,
  reader: AccountReader,
  change: ChangeDraft,
  step: EntryModification,
  { asRead, versions }: VersionAsRead,
): Promise<Written | null> {
  const { hasAssertion } = reader.facts
  const postRead = reader.facts.hasPostRead ? new PostReadControl(reader.names.wanted) : null
  const isNamed = step.dn === change.dn
  const written = await pool.write(async (connection): Promise<Written> => {
    const controls: Control[] = []
    if (hasAssertion) {
      const isUnchanged = await versions.filterFor(connection, step.dn, idFilter(settings, change.key), asRead)
      controls.push(new AssertionControl(expectation(settings, reader, change, isUnchanged)))
    } else if (isNamed) await refuseOthers(connection, settings, reader, change)
    if (postRead !== null) controls.push(postRead)
    await connection.modify(step.dn, step.modifications, controls)
    const { url } = connection.server
    if (postRead === null) return { account: await readAgain(connection, reader, step.dn), url }
    return { account: postRead.entry === null ? null : reader.fromWire(postRead.entry, url), url }
  }, change.key)
  const { account } = written
  if (hasAssertion || !isNamed || account === null || account.key === change.key) return written
  await undo(pool, settings, change, new Set([change.dn]))
  throw raced(settings, change)
}

/**
 * For a server without assertions: looks at the entry right before the write. What happens in the moment between shows
 * in the values that the write deletes by name, and in the answer, which names the entry.
 */
async function refuseOthers(
  connection: Connection,
  settings: DirectorySettings,
  reader: AccountReader,
  change: ChangeDraft,
): Promise<void> {
  const now = await readReal(connection, settings, reader, change.dn)
  if (now === null) {
    throw new AppError('entry-not-found', `directory ${settings.name}: ${change.dn} is no longer there`)
  }
  if (now.key !== change.key) throw raced(settings, change)
  for (const slot of change.slots) {
    if (slot.mode !== 'whole' || slot.dn !== change.dn) continue
    const expected = change.kind === 'lock' ? slot.before : slot.after
    if (!sameValues(now.values(slot.attribute), expected)) throw raced(settings, change)
  }
}

function raced(settings: DirectorySettings, change: ChangeDraft): AppError {
  return new AppError('write-raced', `directory ${settings.name}: ${change.dn} is no longer as it was when it was read`)
}

/** Null where it cannot be read now: it is looked for again. */
async function readAgain(connection: Connection, reader: AccountReader, dn: string): Promise<Account | null> {
  const filter = new PresenceFilter({ attribute: 'objectClass' })
  const { wanted, canonical } = reader.names
  const request = { base: dn, scope: 'base' as const, filter, attributes: wanted, bytesOf: canonical, sizeMax: 1 }
  try {
    const [entry] = await connection.search(request)
    return entry === undefined ? null : reader.fromSearch(entry, connection.server.url)
  } catch (error) {
    if (error instanceof AppError) return null
    throw error
  }
}

/**
 * What must hold for the write: it is this account. Where an attribute of several values is to become ours as a whole
 * and was absent, nobody has put one in since. Deleting old values by name detects all other cases.
 */
function expectation(
  settings: DirectorySettings,
  reader: AccountReader,
  change: ChangeDraft,
  isUnchanged: Filter | null,
): Filter {
  const isSame = idFilter(settings, change.key)
  // Nothing of the entry has changed: there is no need to look at parts of it.
  if (isUnchanged !== null) return new AndFilter({ filters: [isSame, isUnchanged] })
  if (change.kind !== 'lock') return isSame
  const absent = change.slots.filter((slot) => {
    const mustBeAbsent = slot.mode === 'whole' && slot.before.length === 0 && slot.dn === change.dn
    return mustBeAbsent && !reader.facts.isSingleValued(slot.attribute)
  })
  if (absent.length === 0) return isSame
  const filters = absent.map(({ attribute }) => new NotFilter({ filter: new PresenceFilter({ attribute }) }))
  return new AndFilter({ filters: [isSame, ...filters] })
}

async function writeElsewhere(
  pool: Pool,
  settings: DirectorySettings,
  { key }: ChangeDraft,
  step: EntryModification,
): Promise<void> {
  try {
    await pool.write((connection) => connection.modify(step.dn, step.modifications, []), key)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'entry-not-found') throw error
    throw new AppError(
      'directory-refused',
      `directory ${settings.name}: ${step.dn}, which the lock is written to, is not there`,
      {
        hint: 'Create the entry, or correct dn in the key lock.',
        cause: error,
      },
    )
  }
}

/** Reverts the first `count` entries of a change. Where that fails, the state is not known. */
async function takeBack(pool: Pool, settings: DirectorySettings, change: ChangeDraft, count: number): Promise<void> {
  await undo(pool, settings, change, new Set(change.forward.slice(0, count).map((step) => step.dn)))
}

async function undo(
  pool: Pool,
  settings: DirectorySettings,
  change: ChangeDraft,
  written: ReadonlySet<string>,
): Promise<void> {
  for (const step of change.inverse.filter((each) => written.has(each.dn)).toReversed()) {
    try {
      await pool.write((connection) => connection.modify(step.dn, step.modifications, []), change.key)
    } catch (cause) {
      const reason = toAppError(cause).message
      throw new AppError(
        'outcome-unknown',
        `directory ${settings.name}: a part of the change of ${change.dn} was written and could not be reverted: ${reason}`,
        {
          hint: 'Lockstep looks at the entries again by itself.',
          cause,
        },
      )
    }
  }
}
