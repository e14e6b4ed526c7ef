import { asDn, parseDirectoryName, type DirectoryName } from '../../src/core/names.ts'
import type { DirectorySettings, ProtectSettings } from '../../src/core/settings/settings.ts'
import type { Slapd } from '../servers/ldap/slapd.ts'

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
    protect: protecting({}),
    ...change,
  }
}

type Protected = { readonly [Key in keyof ProtectSettings]: readonly ProtectSettings[Key][number]['value'][] }

/** As if it stood under `guards.protect`. */
export function protecting(what: Partial<Protected>): ProtectSettings {
  const under = <Value>(key: string, values: readonly Value[] = []) =>
    values.map((value) => ({ key: `guards.protect.${key}`, value }))
  return {
    filters: under('filter', what.filters),
    dns: under('dns', what.dns),
    subtrees: under('subtrees', what.subtrees),
    groups: under('groups', what.groups),
    attributes: under('attributes', what.attributes),
  }
}
