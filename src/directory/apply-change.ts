import { AndFilter, NotFilter, PresenceFilter, type Control, type Filter } from 'ldapts'
import type { ChangeDraft, EntryModification } from '../core/change.ts'
import { AppError, toAppError } from '../core/error.ts'
import type { DirectorySettings } from '../core/settings.ts'
import type { AccountReader } from './account.ts'
import { AssertionControl, PostReadControl, type WireEntry } from './controls.ts'
import { idFilter } from './directory-searches.ts'
import { normalDn } from '../core/dn.ts'
import type { Pool } from './pool.ts'

/**
 * Writes the modifications of a change, one LDAP modify an entry, in their order. Where a later entry refuses, the
 * earlier ones are taken back.
 *
 * The account's own entry is written only while it is the same account (RFC 4528 with its id, where the server has
 * that), and read in the same answer (RFC 4527, likewise).
 * @returns the account's own entry as it is afterwards; null: the server did not say
 * Fails with `write-raced`, `entry-not-found` (of the account's own entry), `outcome-unknown`, and what refuses a write.
 */
export async function writeChange(
  pool: Pool,
  settings: DirectorySettings,
  reader: AccountReader,
  change: ChangeDraft,
): Promise<WireEntry | null> {
  const ownDn = normalDn(change.dn)
  let after: WireEntry | null = null
  for (const [index, step] of change.forward.entries()) {
    const isOwn = step.dn === change.dn || normalDn(step.dn) === ownDn
    try {
      if (isOwn) after = await writeOwn(pool, settings, reader, change, step)
      else await writeElsewhere(pool, settings, step)
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
): Promise<WireEntry | null> {
  const controls: Control[] = []
  if (reader.facts.hasAssertion) controls.push(new AssertionControl(expectation(settings, reader, change)))
  const postRead = reader.facts.hasPostRead ? new PostReadControl(reader.names.wanted) : null
  if (postRead !== null) controls.push(postRead)
  await pool.write((connection) => connection.modify(step.dn, step.modifications, controls))
  return postRead?.entry ?? null
}

/**
 * What must hold for the write: it is this account. Where an attribute of several values is to become ours as a whole
 * and was absent, nobody has put one in since; deleting old values by name tells all other cases.
 */
function expectation(settings: DirectorySettings, reader: AccountReader, change: ChangeDraft): Filter {
  const isSame = idFilter(settings, change.key)
  if (change.kind !== 'lock') return isSame
  const absent = change.slots.filter((slot) => {
    const mustBeAbsent = slot.mode === 'whole' && slot.before.length === 0 && slot.dn === change.dn
    return mustBeAbsent && !reader.facts.isSingleValued(slot.attribute)
  })
  if (absent.length === 0) return isSame
  const filters = absent.map(({ attribute }) => new NotFilter({ filter: new PresenceFilter({ attribute }) }))
  return new AndFilter({ filters: [isSame, ...filters] })
}

async function writeElsewhere(pool: Pool, settings: DirectorySettings, step: EntryModification): Promise<void> {
  try {
    await pool.write((connection) => connection.modify(step.dn, step.modifications, []))
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

/** Undoes the first `count` entries of a change. Where that fails, nobody knows how things stand. */
async function takeBack(pool: Pool, settings: DirectorySettings, change: ChangeDraft, count: number): Promise<void> {
  const written = new Set(change.forward.slice(0, count).map((step) => step.dn))
  for (const step of change.inverse.filter((each) => written.has(each.dn)).toReversed()) {
    try {
      await pool.write((connection) => connection.modify(step.dn, step.modifications, []))
    } catch (cause) {
      const reason = toAppError(cause).message
      throw new AppError(
        'outcome-unknown',
        `directory ${settings.name}: a part of the change of ${change.dn} was written and could not be taken back: ${reason}`,
        {
          hint: 'Lockstep looks at the entries again by itself.',
          cause,
        },
      )
    }
  }
}
