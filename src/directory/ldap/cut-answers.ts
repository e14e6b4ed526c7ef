import { SearchRequest, SearchResponse, SizeLimitExceededError, type Client } from 'ldapts'
import { AppError } from '../../core/error.ts'

/**
 * A server returns fewer entries than there are, by its own limit, with result 4 (RFC 4511, 4.5.1.4). Where the request
 * had a limit, ldapts takes that for the complete answer. An account that was cut off would then look like one that is
 * not there. Here such an answer fails, unless it has the requested length.
 */

const SIZE_LIMIT_EXCEEDED = 4
/** How ldapts sends a request and gets its answer; private there (ldapts 8.1). */
const SEND = '_send'

type Send = (request: unknown) => Promise<unknown>

export function refuseCutAnswers(client: Client): Client {
  const sender = client as unknown as Record<typeof SEND, Send>
  const send = sender[SEND].bind(client)
  sender[SEND] = async (request) => {
    const answer = await send(request)
    if (request instanceof SearchRequest && answer instanceof SearchResponse && isCut(request, answer)) {
      throw new SizeLimitExceededError(answer.errorMessage)
    }
    return answer
  }
  return client
}

function isCut({ sizeLimit }: SearchRequest, { status, searchEntries, searchReferences }: SearchResponse): boolean {
  return status === SIZE_LIMIT_EXCEEDED && searchEntries.length + searchReferences.length < sizeLimit
}

export function isCutError(thrown: unknown): boolean {
  return thrown instanceof AppError && thrown.code === 'directory-cut'
}

/**
 * A search for any of many things: where the server cuts the answer short, for each half of them, and so on.
 * Fails with `directory-cut` where the answer for a single one is too long.
 */
export async function halvedWhenCut<Item, Found>(
  items: readonly Item[],
  search: (items: readonly Item[]) => Promise<readonly Found[]>,
): Promise<readonly Found[]> {
  try {
    return await search(items)
  } catch (thrown) {
    if (!isCutError(thrown) || items.length < 2) throw thrown
    const middle = Math.ceil(items.length / 2)
    const first = await halvedWhenCut(items.slice(0, middle), search)
    return [...first, ...(await halvedWhenCut(items.slice(middle), search))]
  }
}
