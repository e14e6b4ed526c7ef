import type { BreakerLimit, BreakerSettings } from '../core/guards/breaker.ts'
import { isWithin, normalDn } from '../core/dn.ts'
import { AppError } from '../core/error.ts'
import { parseRealm, type Realm } from '../core/names.ts'
import type { LossBreakerSettings } from '../core/guards/loss-breaker.ts'
import type { GuardSettings, LockBackoff, ProtectKey, ProtectSettings } from '../core/settings/settings.ts'
import { directoryName } from './directory-name.ts'
import { suffixOf } from './relations/group-scope.ts'
import type { ConfigFile, DirectoryFile } from './keys/schema.ts'

/** Makes the settings of the guards from the section `guards`. */
export function buildGuards({ dryRun, breaker, lossBreaker }: ConfigFile['guards']): GuardSettings {
  return {
    dryRun: {
      isForAll: dryRun.isForAll,
      directories: dryRun.directories.map(directoryName),
      realms: dryRun.realms.map(realmName),
    },
    breaker: breaker === null ? null : buildBreaker(breaker),
    lossBreaker: lossBreaker === null ? null : buildLossBreaker(lossBreaker),
  }
}

function buildBreaker(from: NonNullable<ConfigFile['guards']['breaker']>): BreakerSettings {
  const first: BreakerLimit = { of: 'all', only: [], max: { locks: from.maxLocks }, perMs: from.per }
  const others = from.limits.map(({ of, only, maxLocks, share, per }): BreakerLimit => ({
    of,
    only: of === 'realm' ? only.map(realmName) : only,
    max: share === undefined ? { locks: maxLocks ?? 0 } : { share },
    perMs: per,
  }))
  return { limits: [first, ...others], reset: from.reset, approvals: from.approvals }
}

function buildLossBreaker(from: NonNullable<ConfigFile['guards']['lossBreaker']>): LossBreakerSettings {
  const { maxLosses, share, per: perMs, reset } = from
  return { maxLosses, share, perMs, reset }
}

export function buildBackoff(from: ConfigFile['policy']['lockBackoff']): LockBackoff | null {
  return from === null ? null : { factor: from.factor, maxMs: from.max, resetAfterMs: from.resetAfter }
}

type ProtectFile = DirectoryFile['protect']

/**
 * Protection for every directory, and for this one. A group for all is searched for where its suffix is a directory's.
 */
export function buildProtect(parsed: ConfigFile, name: string, directory: DirectoryFile): ProtectSettings {
  const { groups, ...rest } = parsed.guards.protect
  const isOnly = Object.keys(parsed.directories).length === 1
  const suffix = suffixOf(normalDn(directory.base))
  const here = groups.filter((group) => isOnly || isWithin(normalDn(group), suffix))
  const forAll = keyed('guards.protect', { ...rest, groups: here })
  const own = keyed(`directories.${name}.protect`, directory.protect)
  return {
    filters: [...forAll.filters, ...own.filters],
    dns: [...forAll.dns, ...own.dns],
    subtrees: [...forAll.subtrees, ...own.subtrees],
    groups: [...forAll.groups, ...own.groups],
    attributes: [...forAll.attributes, ...own.attributes],
  }
}

function keyed(path: string, from: ProtectFile): ProtectSettings {
  const under = <Value>(key: string, values: readonly Value[]): ProtectKey<Value>[] =>
    values.map((value) => ({ key: `${path}.${key}`, value }))
  return {
    filters: under('filter', from.filter === null ? [] : [from.filter]),
    dns: under('dns', from.dns),
    subtrees: under('subtrees', from.subtrees),
    groups: under('groups', from.groups),
    attributes: under(
      'attributes',
      Object.entries(from.attributes).map(([attribute, values]) => ({ attribute, values })),
    ),
  }
}

function realmName(text: string): Realm {
  const realm = parseRealm(text)
  if (realm === null) throw new AppError('internal', 'the name of a realm passed the checks and is none')
  return realm
}
