import type { Serial } from '../../core/names.ts'
import { serialKey } from '../../core/serials/serial-key.ts'
import type { Token } from '../../core/source/token.ts'
import type { PrivacyIdeaPort } from '../../ports/privacyidea.ts'
import type { Client } from '../http/client.ts'
import { unexpected } from '../http/fields.ts'
import type { TokenListProof } from './proof.ts'
import { listTokens } from './token-list.ts'

const SERIALS_MAX = 200
/** gunicorn refuses a request line of more than 4,094 characters. */
const SERIALS_LENGTH_MAX = 3_500
const COMMA_LENGTH = '%2C'.length
/** Most servers compare without case, and two tokens may differ by case only. */
const ROWS_MAX = 2 * SERIALS_MAX
const FULLEST_PAGE_SIZE = 50
const FULLEST_PAGES_MAX = 200

/** See PrivacyIdeaPort.tokensBySerial. */
export async function tokensBySerial(
  client: Client,
  proof: TokenListProof,
  serials: readonly Serial[],
): Promise<readonly Token[]> {
  const found: Token[] = []
  let isShown = false
  for (const part of inParts(serials)) {
    const query = { serial: part.join(','), page: 1, pagesize: ROWS_MAX }
    const { tokens, rows, count } = await listTokens(client, query)
    if (count > rows) throw unexpected(client.where('GET', '/token/'), 'more tokens than were asked for')
    const asked = new Set(part.map(serialKey))
    found.push(...tokens.filter((token) => asked.has(serialKey(token.serial))))
    isShown = rows > 0
  }
  // The proof has to come after the last answer.
  if (serials.length > 0 && found.length < new Set(serials).size && !isShown) await proof.prove()
  return found
}

function inParts(serials: readonly Serial[]): Serial[][] {
  const parts: Serial[][] = []
  let length = Infinity
  for (const serial of new Set(serials)) {
    length += serial.length + COMMA_LENGTH
    const part = parts.at(-1)
    if (part !== undefined && part.length < SERIALS_MAX && length <= SERIALS_LENGTH_MAX) part.push(serial)
    else {
      parts.push([serial])
      length = serial.length
    }
  }
  return parts
}

/** See PrivacyIdeaPort.fullestTokens. */
export async function fullestTokens(
  client: Client,
  failCountMin: number,
): ReturnType<PrivacyIdeaPort['fullestTokens']> {
  const min = Math.max(1, failCountMin)
  const found = new Map<number, Token>()
  for (let page = 1; page <= FULLEST_PAGES_MAX; page++) {
    const list = await listTokens(client, { sortby: 'failcount', sortdir: 'desc', page, pagesize: FULLEST_PAGE_SIZE })
    for (const token of list.tokens) {
      if (token.failCount >= min || token.isFull) found.set(token.id, token)
    }
    const last = list.tokens.at(-1)
    const isPageOdd = last === undefined && list.rows > 0
    if (
      (last === undefined && !isPageOdd) ||
      (last !== undefined && last.failCount < min) ||
      page * FULLEST_PAGE_SIZE >= list.count
    ) {
      return { tokens: [...found.values()], isComplete: true, isEmpty: list.count === 0 }
    }
  }
  return { tokens: [...found.values()], isComplete: false, isEmpty: false }
}
