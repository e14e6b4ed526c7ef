import type { DirectoryType } from '../../core/settings/directory-type.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'
import { ds389Driver } from './ds389.ts'
import { activeDirectoryDriver } from './active-directory.ts'
import { customDriver } from './custom.ts'
import { driverWith, type DirectoryDriver } from './driver.ts'
import { freeipaDriver } from './freeipa.ts'
import { openldapDriver } from './openldap.ts'

/** One entry a type. */
const DRIVERS: Readonly<Record<DirectoryType, (settings: DirectorySettings) => DirectoryDriver>> = {
  openldap: () => driverWith(openldapDriver),
  'active-directory': (settings) => driverWith(activeDirectoryDriver(settings)),
  '389ds': () => driverWith(ds389Driver),
  freeipa: () => driverWith(freeipaDriver),
  custom: (settings) => driverWith(customDriver(settings.lock)),
}

/** What locked means in a directory. */
export function driverOf(settings: DirectorySettings): DirectoryDriver {
  return DRIVERS[settings.type](settings)
}
