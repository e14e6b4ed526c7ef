import { PresenceFilter } from 'ldapts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import type { Reads } from '../ldap/reads.ts'
import { searchIfAllowed } from '../ldap/search-if-allowed.ts'
import { textsOf } from '../protocol/entry.ts'
import { namingContextOf, type ServerFacts } from '../pool/server-facts.ts'
import { parseTimeSpan } from '../protocol/windows-time.ts'

/** What the domain's own entry says about its lockout after wrong passwords. */
export interface DomainView {
  /** Infinity: until an administrator ends it; null: it could not be read. */
  readonly lockoutDurationMs: number | null
}

const UNKNOWN: DomainView = { lockoutDurationMs: null }

/** Reads the domain's settings. Fails with `directory-*`. */
export async function readDomain(
  reads: Reads,
  { base }: Pick<DirectorySettings, 'base'>,
  facts: ServerFacts,
): Promise<DomainView> {
  const domain = namingContextOf(facts, base)
  if (domain === null) return UNKNOWN
  const isThere = new PresenceFilter({ attribute: 'objectClass' })
  const [entry] = await searchIfAllowed(reads, domain, isThere, ['lockoutDuration'], 1, 'base')
  return { lockoutDurationMs: parseTimeSpan(textsOf(entry ?? null, 'lockoutDuration')[0] ?? null) }
}
