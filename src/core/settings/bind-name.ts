import type { Dn, WindowsName } from '../names.ts'

/** A name is at most so long; one of Active Directory has 256 characters for the login and as many for the domain. */
const NAME_CHARS_MAX = 512
/** `lockstep@example.org`; no such name has an `=`, as every DN does. The domain comes after the last `@`. */
const PRINCIPAL_NAME = /^([^\s"\\=<>,;\p{Cc}]+)@[\p{L}\p{N}](?:[\p{L}\p{N}.-]*[\p{L}\p{N}])?$/u
/** `EXAMPLE\lockstep`, without the characters that no sAMAccountName takes (MS-SAMR, 3.1.1.6). */
const DOWN_LEVEL_NAME = /^[^\s"/\\[\]:;|=,+*?<>@\p{Cc}]+\\([^"/\\[\]:;|=,+*?<>@\p{Cc}]*[^\s"/\\[\]:;|=,+*?<>@\p{Cc}])$/u

/** Active Directory's names for an account at a simple bind, beside its DN (MS-ADTS, 5.1.1.1.1). */
export function isWindowsName(name: string): name is WindowsName {
  return name.length <= NAME_CHARS_MAX && (PRINCIPAL_NAME.test(name) || DOWN_LEVEL_NAME.test(name))
}

/**
 * The attribute of the account's entry: the userPrincipalName as it was written, or the sAMAccountName, which is also
 * the part before the `@` where an account has no userPrincipalName or another one.
 */
export function attributesOfName(name: WindowsName): {
  readonly userPrincipalName: string | null
  readonly login: string
} {
  const principal = PRINCIPAL_NAME.exec(name)
  if (principal !== null) return { userPrincipalName: name, login: principal[1] ?? name }
  return { userPrincipalName: null, login: DOWN_LEVEL_NAME.exec(name)?.[1] ?? name }
}

/** For the configuration, whose text has passed its check. */
export function asBindName(text: string): Dn | WindowsName {
  return text as Dn | WindowsName
}
