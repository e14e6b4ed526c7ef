import { AppError } from '../../core/error.ts'
import type { Token } from '../../core/source/token.ts'
import type { NamedUser, OwnerQuery } from '../../ports/privacyidea.ts'
import type { Client } from '../http/client.ts'
import type { TokenListProof } from './proof.ts'
import type { Resolvers } from './resolvers.ts'
import { listTokens } from './token-list.ts'
import { queryLength, type Query } from '../http/transport.ts'
import { findUser } from './users.ts'

const PAGE_SIZE = 200
const PAGES_MAX = 5
/** 3.13 ignores the filter userid without an error: it would list the tokens of all users (measured on 3.13.4). */
const MINOR_WITHOUT_USER_ID = 13
/** gunicorn refuses a request line of more than 4,094 characters. */
const QUERY_LENGTH_MAX = 3_500

/** What reading the tokens of an owner needs. */
export interface OwnerAccess {
  readonly client: Client
  readonly proof: TokenListProof
  readonly resolvers: Resolvers
}

/** See PrivacyIdeaPort.tokensOfOwner. The query names exactly one user, and only tokens of that user count. */
export async function tokensOfOwner(access: OwnerAccess, owner: OwnerQuery): Promise<readonly Token[]> {
  const { client, proof, resolvers } = access
  let tokens: readonly Token[]
  try {
    tokens = (await tokensById(client, owner)) ?? (await tokensByLogin(client, owner))
  } catch (thrown) {
    if (thrown instanceof AppError && thrown.code === 'unknown-user') await mustBeInRealm(resolvers, client, owner)
    throw thrown
  }
  if (tokens.some((token) => token.owner.kind === 'resolver-error')) {
    await mustBeInRealm(resolvers, client, owner)
    throw new AppError(
      'source-resolver',
      `${client.where('GET', '/token/')}: the user store of the owner does not answer`,
      {
        hint: 'Look after the user store (LDAP) below privacyIDEA. Until it answers, the account is left as it is.',
      },
    )
  }
  if (tokens.length === 0) {
    await mustBeInRealm(resolvers, client, owner)
    await proof.prove()
  }
  return tokens
}

/** Up to 3.13 the tokens of a resolver that is in no realm do not show: an empty answer then proves nothing. */
async function mustBeInRealm(resolvers: Resolvers, client: Client, { resolver }: OwnerQuery): Promise<void> {
  if (resolver === null || !(await resolvers.isGone(resolver))) return
  throw new AppError(
    'source-resolver-gone',
    `${client.where('GET', '/token/')}: the resolver ${resolver} belongs to no realm of privacyIDEA`,
    { hint: 'Its tokens are left as they are. Put it into a realm again, or unassign or delete its tokens.' },
  )
}

/** @returns null where the owner's id is not known or the server does not filter by it */
async function tokensById(client: Client, { userId, resolver }: OwnerQuery): Promise<readonly Token[] | null> {
  // A star matches anything there, so tokens of other users would fill the pages.
  if (userId === null || resolver === null || userId.includes('*')) return null
  const query = { userid: userId, resolver }
  if (queryLength(query) > QUERY_LENGTH_MAX) return null
  const { major, minor } = await client.version()
  if (major === 3 && minor === MINOR_WITHOUT_USER_ID) return null
  const tokens = await allPages(client, query)
  if (tokens === null) return null
  const own = tokens.filter((token) => isOf(token, { userId, resolver }))
  // Only other users' tokens: this server does not filter by the id. Some of them: its database ignores case.
  return own.length === 0 && tokens.length > 0 ? null : own
}

/** A row without a readable owner may be anybody's; it is read by its serial where that is on record. */
function isOf({ owner }: Token, { resolver, userId }: Pick<OwnerQuery, 'resolver' | 'userId'>): boolean {
  if (owner.kind === 'none' || owner.resolver === null || owner.userId === null) return false
  return (resolver === null || owner.resolver === resolver) && (userId === null || owner.userId === userId)
}

async function tokensByLogin(client: Client, owner: OwnerQuery): Promise<readonly Token[]> {
  const { login, realm, resolver, userId } = owner
  if (login === null || realm === null) {
    throw new AppError(
      'source-answer',
      `${client.where('GET', '/token/')}: this version cannot list by the user's id`,
      {
        hint: 'The login and the realm of the user are needed as well.',
      },
    )
  }
  const query = { user: login, realm, ...(resolver === null ? {} : { resolver }) }
  const tokens = await allPages(client, query)
  if (tokens === null) {
    throw new AppError(
      'limit-exceeded',
      `${client.where('GET', '/token/')}: a user has over ${PAGE_SIZE * PAGES_MAX} tokens`,
      {
        hint: 'Is it the account of a machine? Give its tokens to several users.',
      },
    )
  }
  const own = tokens.filter((token) => isOf(token, owner) && isCalled(token, login))
  if (userId !== null && own.length === 0) await checkSameUser(client, { ...owner, login, realm }, tokens)
  return own
}

function isCalled({ owner }: Token, login: string): boolean {
  return owner.kind !== 'user' || owner.login.toLowerCase() === login.toLowerCase()
}

/** A login that was given to another user proves nothing about the user who had it before. */
async function checkSameUser(client: Client, owner: NamedUser, tokens: readonly Token[]): Promise<void> {
  const { login, realm, resolver, userId } = owner
  const isOthers = tokens.some((token) => token.owner.kind === 'user')
  const found = isOthers ? null : await findUser(client, login, realm, resolver)
  if (found?.userId === userId) return
  throw new AppError(
    'unknown-user',
    `${client.where('GET', '/token/')}: the login ${login} is not that of this user id`,
    {
      hint: 'The user was renamed, or the login belongs to somebody else now. It is tried again by itself.',
    },
  )
}

/** @returns null where there are more than `PAGES_MAX` pages */
async function allPages(client: Client, filter: Query): Promise<readonly Token[] | null> {
  const found = new Map<number, Token>()
  for (let page = 1; page <= PAGES_MAX; page++) {
    const list = await listTokens(client, { ...filter, sortby: 'id', sortdir: 'asc', page, pagesize: PAGE_SIZE })
    for (const token of list.tokens) found.set(token.id, token)
    if (page * PAGE_SIZE >= list.count) return [...found.values()]
  }
  return null
}
