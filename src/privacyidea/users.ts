import { parseLogin, parseResolverName, parseUserId, type Login, type Realm } from '../core/names.ts'
import type { UserOfSource } from '../core/token.ts'
import type { Client } from './client.ts'
import { Fields, unexpected } from './fields.ts'

/** @returns null where there is none, or where the user store does not answer: both look the same here */
export async function findUser(client: Client, login: Login, realm: Realm): Promise<UserOfSource | null> {
  const path = '/user/'
  const where = client.where('GET', path)
  const { value } = await client.call({ method: 'GET', path, query: { realm, username: login } })
  if (!Array.isArray(value)) throw unexpected(where, 'a list of users was expected')
  const users = value.flatMap((row) => {
    const fields = new Fields(row, where)
    const [name, resolver, userId] = [
      parseLogin(fields.textOr('username', '')),
      parseResolverName(fields.textOr('resolver', '')),
      parseUserId(fields.textOr('userid', '')),
    ]
    return name === null || resolver === null || userId === null ? [] : [{ login: name, realm, resolver, userId }]
  })
  // A star in a login is a wildcard there.
  return users.find((user) => user.login === login) ?? users.find((user) => isSame(user.login, login)) ?? null
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
