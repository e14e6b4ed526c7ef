import { asDn, parseDirectoryName, type DirectoryName } from '../../src/core/names.ts'
import type { DirectorySettings } from '../../src/core/settings.ts'
import type { Slapd } from '../servers/slapd.ts'

/** Where tests put the service's password; the settings name it. */
const PASSWORD_ENV = 'LOCKSTEP_TEST_LDAP_PASSWORD'

export function nameOfDirectory(text: string): DirectoryName {
  const name = parseDirectoryName(text)
  if (name === null) throw new RangeError(`"${text}" is no directory name`)
  return name
}

/** Settings of a directory `corp` on a test server, with the defaults of the configuration. */
export function directorySettings(
  slapd: Pick<Slapd, 'url' | 'serviceDn' | 'servicePassword' | 'peopleDn'>,
  change: Partial<DirectorySettings> = {},
): DirectorySettings {
  process.env[PASSWORD_ENV] = slapd.servicePassword
  return {
    name: nameOfDirectory('corp'),
    type: 'openldap',
    urls: [slapd.url],
    startTls: 'required',
    bindDn: asDn(slapd.serviceDn),
    bindPassword: { env: PASSWORD_ENV },
    caFile: null,
    tlsServerName: null,
    base: asDn(slapd.peopleDn),
    userFilter: '(uid={login})',
    loginAttribute: 'uid',
    idAttribute: 'entryUUID',
    serialAttribute: 'description',
    serialFormat: 'privacyIDEA:{serial}',
    connectTimeoutMs: 2000,
    operationTimeoutMs: 5000,
    connectionsMax: 2,
    inFlightMax: 16,
    lock: [],
    clearLockout: true,
    protect: { filter: null, dns: [] },
    ...change,
  }
}
