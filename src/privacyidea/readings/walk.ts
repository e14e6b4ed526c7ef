import { counted } from '../../core/format/counted.ts'
import { AppError } from '../../core/error.ts'
import type { ResolverName } from '../../core/names.ts'
import type { Token } from '../../core/source/token.ts'
import type { TokenPage } from '../../ports/privacyidea.ts'
import type { Client } from '../http/client.ts'
import type { Resolvers } from './resolvers.ts'
import { NO_ID } from './token.ts'
import { listTokens, type TokenList } from './token-list.ts'

/** How often a page is read when it does not fit its count, since counting and reading are two queries there. */
const PAGE_TRIES_MAX = 3
/** Pages that are read again because tokens were deleted meanwhile, at most, as a part of all pages, and besides. */
const AGAIN_PART_MAX = 0.5
const AGAIN_MAX = 50
const PAGES_MAX = 1_000_000

/**
 * See PrivacyIdeaPort.walkTokens. Pages are read by rising id: a new token comes at the end and moves none. A deleted
 * one moves all that follow to the front, and the count falls. Then the pages before are read again, as far back as
 * tokens can have moved, and tokens already seen are left out.
 */
export async function* walkTokens(client: Client, resolvers: Resolvers, pageSize: number): AsyncGenerator<TokenPage> {
  await probeOwners(client, resolvers)
  let lastId = -Infinity
  let lastCount = 0
  let again = 0
  for (let page = 1; page <= PAGES_MAX; page++) {
    const list = await readPage(client, resolvers, page, pageSize)
    const moved = Math.max(0, lastCount - list.count)
    lastCount = list.count
    if (moved > 0 && page > 1) {
      const back = Math.min(page - 1, Math.ceil(moved / pageSize))
      again += back
      if (again > AGAIN_MAX + AGAIN_PART_MAX * Math.ceil(list.count / pageSize)) {
        throw unproven(client, 'too many tokens were deleted while it was read')
      }
      page -= back + 1
      continue
    }
    const placed = list.tokens.filter(({ id }) => id !== NO_ID)
    const tokens = placed.filter((token) => token.id > lastId)
    lastId = placed.at(-1)?.id ?? lastId
    const { odd, count } = list
    if (tokens.length > 0 || odd.length > 0) yield { tokens, odd, count }
    if (page * pageSize >= list.count) return
  }
  throw unproven(client, 'it has no end')
}

/** An owner whose user store does not answer costs up to 20 s: so one owner is read before a whole page of them. */
async function probeOwners(client: Client, resolvers: Resolvers): Promise<void> {
  const { tokens } = await listTokens(client, { assigned: 'true', sortby: 'id', page: 1, pagesize: 1 })
  await stopAtResolverError(client, resolvers, tokens)
}

async function readPage(client: Client, resolvers: Resolvers, page: number, pageSize: number): Promise<TokenList> {
  let list: TokenList = { tokens: [], odd: [], rows: 0, count: 0 }
  for (let tries = 1; tries <= PAGE_TRIES_MAX; tries++) {
    list = await listTokens(client, { sortby: 'id', sortdir: 'asc', page, pagesize: pageSize })
    await stopAtResolverError(client, resolvers, list.tokens)
    if (list.count === 0) throw unproven(client, 'no token shows at all')
    if (!isRising(list.tokens)) throw unproven(client, 'the tokens do not come in the order of their ids')
    if (list.rows === rowsOf(page, pageSize, list.count)) return list
  }
  const expected = rowsOf(page, pageSize, list.count)
  throw unproven(client, `page ${page} holds ${counted(list.rows, 'token')} instead of ${expected}`)
}

function rowsOf(page: number, pageSize: number, count: number): number {
  return Math.max(0, Math.min(pageSize, count - (page - 1) * pageSize))
}

function isRising(tokens: readonly Token[]): boolean {
  const ids = tokens.map(({ id }) => id).filter((id) => id !== NO_ID)
  return ids.every((id, index) => index === 0 || id > (ids[index - 1] ?? Infinity))
}

/**
 * A token in no realm, and one whose resolver is in no realm, wait for no user store: they show nothing about it, and
 * stop no walk.
 */
async function stopAtResolverError(client: Client, resolvers: Resolvers, tokens: readonly Token[]): Promise<void> {
  const named = new Set<ResolverName | null>()
  for (const { owner } of tokens) if (owner.kind === 'resolver-error' && !owner.isHomeless) named.add(owner.resolver)
  for (const resolver of named) {
    if (resolver !== null && (await resolvers.isGone(resolver))) continue
    const which = resolver === null ? '' : ` ${resolver}`
    throw new AppError('source-resolver', `${client.where('GET', '/token/')}: the resolver${which} does not answer`, {
      hint: 'Look after the user store (LDAP) below privacyIDEA. Until it answers, nothing is repaired.',
    })
  }
}

function unproven(client: Client, why: string): AppError {
  return new AppError(
    'source-unproven',
    `${client.where('GET', '/token/')}: the run over all tokens is incomplete: ${why}`,
    {
      hint: 'Nothing is concluded from it; it is tried again by itself.',
    },
  )
}
