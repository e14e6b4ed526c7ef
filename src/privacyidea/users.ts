import { parseLogin, parseResolverName, parseUserId, type Login, type Realm } from '../core/names.ts'
import type { UserOfSource } from '../core/token.ts'
import type { Client } from './client.ts'
import { Fields, unexpected } from './fields.ts'

/** @returns null where there is none, or where the user store does not answer: both look the same here */
export async function findUser(client: Client, login: Login, realm: Realm): Promise<UserOfSource | null> {
  return (await findRow(client, login, realm))?.user ?? null
}

/** See PrivacyIdeaPort.userDetails. */
export async function userDetails(
  client: Client,
  login: Login,
  realm: Realm,
): Promise<{ mail: string; name: string } | null> {
  const found = await findRow(client, login, realm)
  if (found === null) return null
  const [given, surname] = [found.fields.textOr('givenname', ''), found.fields.textOr('surname', '')]
  return { mail: found.fields.textOr('email', ''), name: `${given} ${surname}`.trim() }
}

interface Row {
  readonly user: UserOfSource
  readonly fields: Fields
}

async function findRow(client: Client, login: Login, realm: Realm): Promise<Row | null> {
  const path = '/user/'
  const where = client.where('GET', path)
  const { value } = await client.call({ method: 'GET', path, query: { realm, username: login } })
  if (!Array.isArray(value)) throw unexpected(where, 'a list of users was expected')
  const rows = value.flatMap((each): Row[] => {
    const fields = new Fields(each, where)
    const [name, resolver, userId] = [
      parseLogin(fields.textOr('username', '')),
      parseResolverName(fields.textOr('resolver', '')),
      parseUserId(fields.textOr('userid', '')),
    ]
    if (name === null || resolver === null || userId === null) return []
    return [{ user: { login: name, realm, resolver, userId }, fields }]
  })
  // A star in a login is a wildcard there.
  return rows.find(({ user }) => user.login === login) ?? rows.find(({ user }) => isSame(user.login, login)) ?? null
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
