import type { DryRunSettings } from '../guards/guard.ts'
import type { ProtectSettings, Settings } from './settings.ts'

/**
 * The settings of a command beside a daemon whose configuration is not that of the file: the daemon's, and the dry run
 * and protection of both together.
 */
export function stricterOfBoth(running: Settings, file: Settings): Settings {
  return {
    // A daemon of an older version knows less.
    ...file,
    ...running,
    guards: { ...running.guards, dryRun: bothDryRuns(running.guards.dryRun, file.guards.dryRun) },
    directories: running.directories.map((directory) => {
      const other = file.directories.find(({ name }) => name === directory.name)
      return other === undefined ? directory : { ...directory, protect: bothProtect(directory.protect, other.protect) }
    }),
  }
}

function bothDryRuns(a: DryRunSettings, b: DryRunSettings): DryRunSettings {
  return {
    isForAll: a.isForAll || b.isForAll,
    directories: [...new Set([...a.directories, ...b.directories])],
    realms: [...new Set([...a.realms, ...b.realms])],
  }
}

function bothProtect(a: ProtectSettings, b: ProtectSettings): ProtectSettings {
  return {
    filters: both(a.filters, b.filters),
    dns: both(a.dns, b.dns),
    subtrees: both(a.subtrees, b.subtrees),
    groups: both(a.groups, b.groups),
    attributes: both(a.attributes, b.attributes),
  }
}

function both<Item>(a: readonly Item[], b: readonly Item[]): readonly Item[] {
  const known = new Set(a.map((item) => JSON.stringify(item)))
  return [...a, ...b.filter((item) => !known.has(JSON.stringify(item)))]
}
