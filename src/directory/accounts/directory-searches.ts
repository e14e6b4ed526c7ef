import { EqualityFilter, OrFilter, PresenceFilter, SubstringFilter, type Entry, type Filter } from 'ldapts'
import { isWithin, normalDn } from '../../core/dn.ts'
import { AppError } from '../../core/error.ts'
import { accountIdOf, type AccountKey, type Serial } from '../../core/names.ts'
import { formatSerial, SERIAL_PLACEHOLDER, serialsIn } from '../../core/account/serial-values.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { ObservedState } from '../../core/account/state.ts'
import type { Connection, SearchRequest } from '../ldap/connection.ts'
import type { AccountReader } from './account.ts'
import { idCodecOf } from './id-codec.ts'
import type { Pool } from '../pool/pool.ts'

const PAGE_ENTRIES = 500

/** The account with this id. */
export function idFilter(settings: DirectorySettings, key: AccountKey): Filter {
  const attribute = settings.idAttribute
  return new EqualityFilter({ attribute, value: idCodecOf(attribute).encode(accountIdOf(key)) })
}

/** The text is a DN, and that of the base or of something below it; a number or a UUID is none. */
export function isDnBelow({ base }: DirectorySettings, text: string): boolean {
  return /^[a-z0-9.-]+\s*=.*,/is.test(text) && isWithin(normalDn(text), normalDn(base))
}

/** Accounts that may have the serial. The server compares without regard to case, so check each of them. */
export function serialFilter(settings: DirectorySettings, reader: AccountReader, serial: Serial): Filter {
  const word = formatSerial(settings.serialFormat, serial)
  if (reader.isMultiValued) return new EqualityFilter({ attribute: settings.serialAttribute, value: word })
  return new SubstringFilter({ attribute: settings.serialAttribute, initial: '', any: [word], final: '' })
}

/** Accounts that have a serial in our format, or a lock that looks like ours. */
export function markedFilter(settings: DirectorySettings, reader: AccountReader, marks: readonly Filter[]): Filter {
  const { serialAttribute: attribute, serialFormat } = settings
  const at = serialFormat.indexOf(SERIAL_PLACEHOLDER)
  const head = serialFormat.slice(0, at)
  const tail = serialFormat.slice(at + SERIAL_PLACEHOLDER.length)
  const serials = reader.isMultiValued
    ? new SubstringFilter({ attribute, initial: head, any: [], final: tail })
    : new SubstringFilter({ attribute, initial: '', any: [head, tail].filter((part) => part !== ''), final: '' })
  const isAny = head === '' && tail === ''
  const filters = [isAny ? new PresenceFilter({ attribute }) : serials, ...marks]
  return filters.length === 1 && filters[0] !== undefined ? filters[0] : new OrFilter({ filters })
}

/**
 * A search whose empty answer can be trusted: the identity is proven after it on the same connection. A missing base is
 * a mistake of the configuration and never "not found".
 */
export async function searchProven(
  connection: Connection,
  request: SearchRequest,
  settings: DirectorySettings,
): Promise<Entry[]> {
  const entries = await connection.search(request).catch(async (error: unknown) => {
    if (!(error instanceof AppError) || error.code !== 'entry-not-found') throw error
    await connection.proveIdentity()
    if (request.scope === 'base') return []
    throw new AppError(
      'directory-refused',
      `directory ${settings.name}: the base ${request.base} is not there, or may not be seen`,
      {
        hint: 'Correct base, or let the account that Lockstep binds as read it.',
        cause: error,
      },
    )
  })
  if (entries.length === 0) await connection.proveIdentity()
  return entries
}

/** A search finds values by the server's matching, and values that cover stored ones; neither is a mark of ours. */
export function isMarked({ lock, serialFormat, serialAttributeMultiValued, serialValues }: ObservedState): boolean {
  return lock.state === 'as-ours' || serialsIn(serialFormat, serialAttributeMultiValued, serialValues).length > 0
}

/** Page by page on one connection; entries hidden by a lost identity would look like the end. */
export function walkPages(pool: Pool, request: SearchRequest): AsyncGenerator<{ entries: Entry[]; url: string }> {
  return pool.hold(async function* (connection) {
    const { url } = connection.server
    for await (const entries of connection.searchPages(request, PAGE_ENTRIES)) yield { entries, url }
    await connection.proveIdentity()
  })
}

/** Null: the lock of the account may not be read. One such account must not end a walk over all the others. */
export async function unlessHidden(observed: Promise<ObservedState>): Promise<ObservedState | null> {
  try {
    return await observed
  } catch (error) {
    if (error instanceof AppError && error.code === 'directory-not-permitted') return null
    throw error
  }
}
