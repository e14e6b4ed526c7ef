import type { Token } from '../../core/source/token.ts'
import type { PrivacyIdeaPort } from '../../ports/privacyidea.ts'

/** The same source; all tokens that are read through it, in any way, go through `map`. */
export function withMappedTokens(
  source: PrivacyIdeaPort,
  map: (tokens: readonly Token[]) => readonly Token[] | Promise<readonly Token[]>,
): PrivacyIdeaPort {
  return {
    ...source,
    tokensOfOwner: async (owner) => map(await source.tokensOfOwner(owner)),
    tokensBySerial: async (serials) => map(await source.tokensBySerial(serials)),
    fullestTokens: async (failCountMin) => {
      const found = await source.fullestTokens(failCountMin)
      return { ...found, tokens: await map(found.tokens) }
    },
    async *walkTokens() {
      for await (const page of source.walkTokens()) yield { ...page, tokens: await map(page.tokens) }
    },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
}
