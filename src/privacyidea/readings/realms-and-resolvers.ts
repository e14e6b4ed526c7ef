import type { Client } from '../http/client.ts'
import { isFields } from '../http/envelope.ts'

/** The parts of privacyIDEA's own set-up that matter to Lockstep: its realms and the filters of its LDAP resolvers. */

export interface LdapResolver {
  readonly name: string
  readonly searchFilter: string
}

/** The realms, in lower case. Every administrator may see them. */
export async function readRealms(client: Client): Promise<readonly string[]> {
  const { value } = await client.call({ method: 'GET', path: '/realm/' })
  return isFields(value) ? Object.keys(value).map((name) => name.toLowerCase()) : []
}

/** Needs the right `resolverread`. */
export async function readLdapResolvers(client: Client): Promise<readonly LdapResolver[]> {
  const { value } = await client.call({ method: 'GET', path: '/resolver/' })
  return Object.entries(isFields(value) ? value : {}).flatMap(([name, each]) => {
    const data = isFields(each) ? each['data'] : undefined
    const filter = isFields(data) ? data['LDAPSEARCHFILTER'] : undefined
    return typeof filter === 'string' ? [{ name, searchFilter: filter }] : []
  })
}

/**
 * The attributes of a lock that a search filter uses. Such a filter may not find an account while it is locked, and
 * privacyIDEA then takes its tokens for orphans. Pure.
 */
export function lockAttributesIn(filter: string, lockAttributes: readonly string[]): readonly string[] {
  return lockAttributes.filter((attribute) => {
    const name = attribute.replace(/[^A-Za-z0-9-]/g, '')
    return name !== '' && new RegExp(`\\(\\s*${name}\\s*(?:;[^:=<>~]*)?[:=<>~]`, 'i').test(filter)
  })
}
