import type { DirectoryType } from '../core/directory-type.ts'
import { AppError } from '../core/error.ts'
import type { DirectorySettings } from '../core/settings.ts'
import { ds389Driver } from './account-inactivation.ts'
import { activeDirectoryDriver } from './active-directory.ts'
import { customDriver } from './custom.ts'
import type { LockDriver } from './driver.ts'
import { freeipaDriver } from './freeipa.ts'
import { openldapDriver } from './openldap.ts'

type MakeDriver = (settings: DirectorySettings) => LockDriver

/** One entry a type; null: not in this version yet, and refused by the configuration. */
const DRIVERS: Readonly<Record<DirectoryType, MakeDriver | null>> = {
  openldap: () => openldapDriver,
  'active-directory': activeDirectoryDriver,
  '389ds': () => ds389Driver,
  freeipa: () => freeipaDriver,
  custom: (settings) => customDriver(settings.lock),
}

/** What locked means in a directory. Fails with `config-invalid` for a type that has no driver yet. */
export function driverOf(settings: DirectorySettings): LockDriver {
  const make = DRIVERS[settings.type]
  if (make !== null) return make(settings)
  throw new AppError('config-invalid', `directory ${settings.name}: type ${settings.type} is not in this version yet`, {
    hint: 'Use another type, or custom with the key lock.',
  })
}
