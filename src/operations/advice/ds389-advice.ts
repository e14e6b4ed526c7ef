import type { DirectorySettings } from '../../core/settings/settings.ts'
import { driverOf } from '../../directory/drivers/drivers.ts'
import { LIMIT_ATTRIBUTES } from '../../directory/probe/effective-rights.ts'

/** Ready-made lines for 389-DS and FreeIPA, as `lockstep doctor` prints them. The long form is docs/how-to/389ds-freeipa.md. */

/** To be run by whoever may change the data and its ACIs. */
function apply(settings: DirectorySettings, ...lines: readonly string[]): string {
  const url = settings.urls[0] ?? 'ldaps://localhost'
  return [`ldapmodify -x -H ${url} -D "cn=Directory Manager" -W <<EOF`, ...lines, 'EOF'].join('\n')
}

/** What is read of an account; the entry itself is found by `objectClass`. */
export function readAttributes(settings: DirectorySettings): string[] {
  const { loginAttribute, idAttribute, serialAttribute } = settings
  return distinct(['objectClass', loginAttribute, idAttribute, serialAttribute, ...driverOf(settings).attributes])
}

export function writeAttributes(settings: DirectorySettings): string[] {
  return distinct([...driverOf(settings).lockAttributes, settings.serialAttribute])
}

export function writeRightAdvice(settings: DirectorySettings): string {
  const aci = aciOf(settings, 'Lockstep locks accounts', writeAttributes(settings), 'write')
  return apply(settings, `dn: ${settings.base}`, 'changetype: modify', 'add: aci', `aci: ${aci}`)
}

export function readRightAdvice(settings: DirectorySettings): string {
  const aci = aciOf(settings, 'Lockstep reads accounts', readAttributes(settings), 'read, search, compare')
  return apply(settings, `dn: ${settings.base}`, 'changetype: modify', 'add: aci', `aci: ${aci}`)
}

const POLICY_ATTRIBUTES = ['objectClass', 'krbPwdMaxFailure', 'krbPwdLockoutDuration']

/** FreeIPA's lockout policies, which lie below the realm. */
export function policyRightAdvice(settings: DirectorySettings, context: string): string {
  const aci = aciOf(settings, 'Lockstep reads lockout policies', POLICY_ATTRIBUTES, 'read, search, compare')
  return apply(settings, `dn: cn=kerberos,${context}`, 'changetype: modify', 'add: aci', `aci: ${aci}`)
}

export function limitsAdvice(settings: DirectorySettings): string {
  const own = LIMIT_ATTRIBUTES.join(' || ')
  return apply(
    settings,
    `dn: ${settings.bindDn}`,
    'changetype: modify',
    ...LIMIT_ATTRIBUTES.flatMap((attribute) => [`replace: ${attribute}`, `${attribute}: -1`, '-']),
    'add: aci',
    `aci: (targetattr="objectClass || ${own}")(version 3.0; acl "Lockstep sees its limits"; allow (read, search, compare) userdn="ldap:///self";)`,
  )
}

/** `INSTANCE` and the backend are the server's own names. */
export function indexAdvice(attribute: string, context: string, backend: string): string {
  return [
    `# the backend of ${context}: dsconf INSTANCE backend suffix list`,
    `dsconf INSTANCE backend index add --attr ${attribute} --index-type eq --reindex ${backend}`,
  ].join('\n')
}

function aciOf(settings: DirectorySettings, name: string, attributes: readonly string[], rights: string): string {
  const subject = `userdn="ldap:///${urlPart(settings.bindDn)}"`
  return `(targetattr="${attributes.join(' || ')}")(version 3.0; acl "${name}"; allow (${rights}) ${subject};)`
}

/** A DN within the LDAP URL of an ACI (RFC 4516, 2.1). */
function urlPart(dn: string): string {
  return dn.replace(/[%?"\s]/g, (char) => encodeURIComponent(char))
}

function distinct(names: readonly string[]): string[] {
  return [...new Map(names.map((name) => [name.toLowerCase(), name])).values()]
}
