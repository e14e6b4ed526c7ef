import { PresenceFilter } from 'ldapts'
import { toAppError, type AppError } from '../../core/error.ts'
import { resultCodeOf } from '../protocol/result-code.ts'
import type { LdapDirectory } from '../ldap-directory.ts'

/** One more than OpenLDAP returns by default; Active Directory returns 1000 and 389-DS 2000. */
const ASKED = 501
const PAGE_ENTRIES = 100

export interface SearchLimitProbe {
  readonly asked: number
  readonly returned: number
  /** How the server ended the search before that; null: it did not. */
  readonly cut: AppError | null
}

/** Pages as a walk over the accounts does, over all entries below the base, and stops once it has enough. */
export async function probeSearchLimit(directory: LdapDirectory): Promise<SearchLimitProbe> {
  const request = {
    base: directory.settings.base,
    scope: 'sub' as const,
    filter: new PresenceFilter({ attribute: 'objectClass' }),
    attributes: ['1.1'],
    bytesOf: [],
    sizeMax: 0,
  }
  let returned = 0
  const pages = directory.pool.hold((connection) => connection.searchPages(request, PAGE_ENTRIES))
  try {
    for await (const entries of pages) {
      returned += entries.length
      if (returned >= ASKED) break
    }
    return { asked: ASKED, returned, cut: null }
  } catch (thrown) {
    const error = toAppError(thrown)
    if (!isLimit(error)) throw error
    return { asked: ASKED, returned, cut: error }
  }
}

const TIME_LIMIT_EXCEEDED = 3

function isLimit(error: AppError): boolean {
  return error.code === 'directory-cut' || resultCodeOf(error.cause) === TIME_LIMIT_EXCEEDED
}
