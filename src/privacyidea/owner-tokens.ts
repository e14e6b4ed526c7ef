import { AppError } from '../core/error.ts'
import type { Login, Realm } from '../core/names.ts'
import type { Token } from '../core/token.ts'
import type { OwnerQuery } from '../ports/privacyidea.ts'
import type { Client } from './client.ts'
import type { TokenListProof } from './proof.ts'
import { listTokens } from './token-list.ts'
import type { Query } from './transport.ts'
import { findUser } from './users.ts'

const PAGE_SIZE = 200
const PAGES_MAX = 5
/** 3.13 ignores the filter userid, silently: it would list the tokens of everybody (measured on 3.13.4). */
const MINOR_WITHOUT_USER_ID = 13

/** See PrivacyIdeaPort.tokensOfOwner. */
export async function tokensOfOwner(
  client: Client,
  proof: TokenListProof,
  owner: OwnerQuery,
): Promise<readonly Token[]> {
  const byId = await tokensById(client, owner)
  const tokens = byId ?? (await tokensByLogin(client, owner))
  if (tokens.some((token) => token.owner.kind === 'resolver-error')) {
    throw new AppError(
      'source-resolver',
      `${client.where('GET', '/token/')}: the user store of the owner does not answer`,
      {
        hint: 'Look after the user store (LDAP) below privacyIDEA. Until it answers, the account is left as it is.',
      },
    )
  }
  if (tokens.length === 0) await proof.prove()
  return tokens
}

/** @returns null where the owner's id is not known or the server does not filter by it */
async function tokensById(client: Client, { userId, resolver }: OwnerQuery): Promise<readonly Token[] | null> {
  if (userId === null || resolver === null) return null
  const { major, minor } = await client.version()
  if (major === 3 && minor === MINOR_WITHOUT_USER_ID) return null
  const tokens = await allPages(client, { userid: userId, resolver })
  const isFiltered = tokens !== null && tokens.every(({ owner }) => owner.kind !== 'none' && owner.userId === userId)
  return isFiltered ? tokens : null
}

async function tokensByLogin(client: Client, owner: OwnerQuery): Promise<readonly Token[]> {
  const { login, realm, userId } = owner
  if (login === null || realm === null) {
    throw new AppError(
      'source-answer',
      `${client.where('GET', '/token/')}: this version cannot list by the user's id`,
      {
        hint: 'The login and the realm of the user are needed as well.',
      },
    )
  }
  const tokens = await allPages(client, { user: login, realm })
  if (tokens === null) {
    throw new AppError(
      'limit-exceeded',
      `${client.where('GET', '/token/')}: a user has over ${PAGE_SIZE * PAGES_MAX} tokens`,
      {
        hint: 'Is it the account of a machine? Give its tokens to several users.',
      },
    )
  }
  if (userId !== null) await checkSameUser(client, { ...owner, login, realm }, tokens)
  return tokens
}

/** A login that was given to somebody else says nothing about who had it before. */
async function checkSameUser(
  client: Client,
  { login, realm, userId }: OwnerQuery & { login: Login; realm: Realm },
  tokens: readonly Token[],
): Promise<void> {
  const [first] = tokens
  const found =
    first === undefined ? await findUser(client, login, realm) : first.owner.kind === 'none' ? null : first.owner
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
