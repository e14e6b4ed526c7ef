import { counted } from '../format/counted.ts'
import type { DirectoryName, Realm } from '../names.ts'
import { TYPE_TRAITS } from './directory-type.ts'
import type { DirectorySettings } from './settings.ts'

/** What finds locks and serials of ours again in a directory. With another form they would stay there for good. */
export interface DirectoryForm {
  /** Two types with one lock are one. */
  readonly lock: string
  readonly idAttribute: string
  readonly serialAttribute: string
  readonly serialFormat: string
}

export function formOf({ type, lock, idAttribute, serialAttribute, serialFormat }: DirectorySettings): DirectoryForm {
  const { lockAsOf, isLockConfigured } = TYPE_TRAITS[type]
  return {
    lock: isLockConfigured ? JSON.stringify(lock) : lockAsOf,
    idAttribute: idAttribute.toLowerCase(),
    serialAttribute: serialAttribute.toLowerCase(),
    serialFormat,
  }
}

/** The directories of a realm, by a configuration. */
export interface RealmDirectories {
  readonly realms: Readonly<Record<Realm, readonly DirectoryName[]>>
  readonly directories: readonly DirectoryName[]
}

/** A directory that is alone takes every realm where none are mapped. */
export function directoriesOfRealm({ realms, directories }: RealmDirectories, realm: Realm): readonly DirectoryName[] {
  const isUnmapped = Object.keys(realms).length === 0
  return isUnmapped && directories.length === 1 ? directories : (realms[realm] ?? [])
}

/** The marks in a directory that are ours. */
export interface OwnMarks {
  readonly locks: number
  readonly serials: number
}

/** Why a configuration must not be loaded: it would lose our marks in a directory. */
export interface LostMarks extends OwnMarks {
  readonly directory: DirectoryName
  /** The key that was changed; null: the directory is no longer there. */
  readonly key: 'lock' | 'idAttribute' | 'serialAttribute' | 'serialFormat' | null
}

/** @param form as it would be; null: the directory is not in the configuration any more */
export function lostMarks(
  directory: DirectoryName,
  before: DirectoryForm | null,
  form: DirectoryForm | null,
  marks: OwnMarks,
): LostMarks | null {
  const { locks, serials } = marks
  if (locks + serials === 0) return null
  if (form === null) return { directory, key: null, ...marks }
  if (before === null) return null
  const differs = (key: keyof DirectoryForm): boolean => before[key] !== form[key]
  if (differs('idAttribute')) return { directory, key: 'idAttribute', ...marks }
  if (locks > 0 && differs('lock')) return { directory, key: 'lock', locks, serials: 0 }
  if (serials === 0) return null
  if (differs('serialAttribute')) return { directory, key: 'serialAttribute', locks: 0, serials }
  return differs('serialFormat') ? { directory, key: 'serialFormat', locks: 0, serials } : null
}

/** `2 locks and 1 serial of ours`. */
export function marksText({ locks, serials }: OwnMarks): string {
  const parts = [
    ...(locks === 0 ? [] : [counted(locks, 'lock')]),
    ...(serials === 0 ? [] : [counted(serials, 'serial')]),
  ]
  return `${parts.join(' and ')} of ours`
}
