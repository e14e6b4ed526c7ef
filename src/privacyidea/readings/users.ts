import {
  parseLogin,
  parseResolverName,
  parseUserId,
  type Login,
  type Realm,
  type ResolverName,
} from '../../core/names.ts'
import type { UserOfSource } from '../../core/source/token.ts'
import type { NamedUser } from '../../ports/privacyidea.ts'
import type { Client } from '../http/client.ts'
import { isFields } from '../http/envelope.ts'
import { Fields, unexpected } from '../http/fields.ts'

/** @returns null where there is none, or where the user store does not answer: both look the same here */
export async function findUser(
  client: Client,
  login: Login,
  realm: Realm,
  resolver: ResolverName | null,
): Promise<UserOfSource | null> {
  return (await findRow(client, login, realm, resolver))?.user ?? null
}

/** See PrivacyIdeaPort.userDetails. */
export async function userDetails(
  client: Client,
  { login, realm, resolver, userId }: NamedUser,
): Promise<{ mail: string; name: string } | null> {
  const found = await findRow(client, login, realm, resolver)
  if (found === null || (userId !== null && found.user.userId !== userId)) return null
  const [given, surname] = [found.fields.textOr('givenname', ''), found.fields.textOr('surname', '')]
  return { mail: found.fields.textOr('email', ''), name: `${given} ${surname}`.trim() }
}

interface Row {
  readonly user: UserOfSource
  readonly fields: Fields
}

/**
 * Of a login that several resolvers of the realm have, 3.14 shows the one that it would use, and all where the resolver
 * is named; older versions show them all in any case (measured on 3.11 to 3.14).
 */
async function findRow(client: Client, login: Login, realm: Realm, resolver: ResolverName | null): Promise<Row | null> {
  const path = '/user/'
  const where = client.where('GET', path)
  const query = { realm, username: login, ...(resolver === null ? {} : { resolver }) }
  const { value } = await client.call({ method: 'GET', path, query })
  if (!Array.isArray(value)) throw unexpected(where, 'a list of users was expected')
  const rows = value.flatMap((each): Row[] => {
    if (!isFields(each)) return []
    const fields = new Fields(each, where)
    const [name, ofResolver, userId] = [
      parseLogin(fields.textOr('username', '')),
      parseResolverName(fields.textOr('resolver', '')),
      parseUserId(fields.textOr('userid', '')),
    ]
    if (name === null || ofResolver === null || userId === null) return []
    if (resolver !== null && ofResolver !== resolver) return []
    return [{ user: { login: name, realm, resolver: ofResolver, userId }, fields }]
  })
  // A star in a login is a wildcard there.
  return rows.find(({ user }) => user.login === login) ?? rows.find(({ user }) => isSame(user.login, login)) ?? null
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
