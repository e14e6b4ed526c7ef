import { AppError } from '../core/error.ts'
import type { Token } from '../core/token.ts'
import type { TokenPage } from '../ports/privacyidea.ts'
import type { Client } from './client.ts'
import { listTokens, type TokenList } from './token-list.ts'

/** A page that is not as its count says is read so often, since counting and reading are two queries there. */
const PAGE_TRIES_MAX = 3
/** Pages that are read again because tokens were deleted meanwhile, at most, as a part of all pages, and besides. */
const AGAIN_PART_MAX = 0.5
const AGAIN_MAX = 50
const PAGES_MAX = 1_000_000

/**
 * See PrivacyIdeaPort.walkTokens. Pages are read by rising id: a new token comes at the end and moves none. A deleted
 * one moves all that follow to the front, and the count falls; then the pages before are read again, as far back as
 * tokens can have moved, and what was seen is left out.
 */
export async function* walkTokens(client: Client, pageSize: number): AsyncGenerator<TokenPage> {
  await probeOwners(client)
  let lastId = -Infinity
  let lastCount = 0
  let again = 0
  for (let page = 1; page <= PAGES_MAX; page++) {
    const list = await readPage(client, page, pageSize)
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
    const tokens = list.tokens.filter((token) => token.id > lastId)
    lastId = list.tokens.at(-1)?.id ?? lastId
    if (tokens.length > 0) yield { tokens, count: list.count }
    if (page * pageSize >= list.count) return
  }
  throw unproven(client, 'it has no end')
}

/** An owner whose user store does not answer costs up to 20 s: one is asked for before a whole page of them. */
async function probeOwners(client: Client): Promise<void> {
  const { tokens } = await listTokens(client, { assigned: 'true', sortby: 'id', page: 1, pagesize: 1 })
  stopAtResolverError(client, tokens)
}

async function readPage(client: Client, page: number, pageSize: number): Promise<TokenList> {
  let list: TokenList = { tokens: [], count: 0 }
  for (let tries = 1; tries <= PAGE_TRIES_MAX; tries++) {
    list = await listTokens(client, { sortby: 'id', sortdir: 'asc', page, pagesize: pageSize })
    stopAtResolverError(client, list.tokens)
    if (list.count === 0) throw unproven(client, 'no token shows at all')
    if (!isRising(list.tokens)) throw unproven(client, 'the tokens do not come in the order of their ids')
    if (list.tokens.length === rowsOf(page, pageSize, list.count)) return list
  }
  const expected = rowsOf(page, pageSize, list.count)
  throw unproven(client, `page ${page} holds ${list.tokens.length} tokens instead of ${expected}`)
}

function rowsOf(page: number, pageSize: number, count: number): number {
  return Math.max(0, Math.min(pageSize, count - (page - 1) * pageSize))
}

function isRising(tokens: readonly Token[]): boolean {
  return tokens.every((token, index) => index === 0 || token.id > (tokens[index - 1]?.id ?? Infinity))
}

function stopAtResolverError(client: Client, tokens: readonly Token[]): void {
  const bad = tokens.find((token) => token.owner.kind === 'resolver-error')
  if (bad === undefined || bad.owner.kind === 'none' || bad.owner.kind === 'user') return
  const which = bad.owner.resolver === null ? '' : ` ${bad.owner.resolver}`
  throw new AppError('source-resolver', `${client.where('GET', '/token/')}: the resolver${which} does not answer`, {
    hint: 'Look after the user store (LDAP) below privacyIDEA. Until it answers, nothing is repaired.',
  })
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
