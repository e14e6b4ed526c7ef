/**
 * Which directory answers: properties that all its replicas share, and another directory does not have. A server that
 * was set up anew, a copy for tests behind the same name, or a wrong URL is then detected before anything is used or
 * written.
 */
export interface DirectoryIdentity {
  /** The rootDSE's namingContexts (RFC 4512, 5.1) in normal form, sorted; empty: the server does not show them. */
  readonly contexts: readonly string[]
  /** `base` of the configuration, in normal form. */
  readonly base: string
  /** The stable id of the entry `base` (entryUUID, objectGUID, nsUniqueId); null: it is not there, or not shown. */
  readonly baseId: string | null
}

/**
 * Contexts that replicas of one directory need not share: DNS zones of Active Directory, the certificate authority and
 * the changelog of FreeIPA and 389 Directory Server, the access log of an OpenLDAP provider.
 */
const OF_ONE_SERVER = /^(?:dc=(?:domain|forest)dnszones,.*|o=ipaca|cn=changelog|cn=accesslog|o=netscaperoot)$/

/** @returns how the directory that answers differs from the one on record, or null where no difference is visible */
export function differenceOfIdentity(recorded: DirectoryIdentity, now: DirectoryIdentity): string | null {
  if (now.contexts.length > 0 && !now.contexts.some((context) => isWithin(now.base, context))) {
    return `it holds ${now.contexts.join('; ')}, and not the base ${now.base}`
  }
  if (recorded.contexts.length > 0 && now.contexts.length > 0) {
    const [before, after] = [shared(recorded.contexts), shared(now.contexts)]
    const changes = [
      ...before.filter((context) => !after.includes(context)).map((context) => `${context} is gone`),
      ...after.filter((context) => !before.includes(context)).map((context) => `${context} is new`),
    ]
    if (changes.length > 0) return `its naming contexts have changed: ${changes.join(', ')}`
  }
  // A base that the configuration moved is another entry.
  if (recorded.base !== now.base || recorded.baseId === null || now.baseId === null) return null
  return recorded.baseId === now.baseId
    ? null
    : `its entry ${now.base} has the id ${now.baseId}, where that on record has ${recorded.baseId}`
}

/** Whether enough is visible to recognize it. */
export function isTelling({ contexts, baseId }: DirectoryIdentity): boolean {
  return contexts.length > 0 || baseId !== null
}

/** The identity to record after another observation, or null where it has nothing new. */
export function completedIdentity(recorded: DirectoryIdentity, now: DirectoryIdentity): DirectoryIdentity | null {
  const contexts = recorded.contexts.length > 0 ? recorded.contexts : now.contexts
  const isMoved = recorded.base !== now.base && now.baseId !== null
  const baseId = isMoved ? now.baseId : (recorded.baseId ?? now.baseId)
  const base = isMoved ? now.base : recorded.base
  const isSame = contexts === recorded.contexts && base === recorded.base && baseId === recorded.baseId
  return isSame ? null : { contexts, base, baseId }
}

function shared(contexts: readonly string[]): readonly string[] {
  return contexts.filter((context) => !OF_ONE_SERVER.test(context))
}

/** Both in normal form. */
function isWithin(dn: string, context: string): boolean {
  return context === '' || dn === context || dn.endsWith(`,${context}`)
}
