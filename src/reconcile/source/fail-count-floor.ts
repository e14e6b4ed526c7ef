import type { Token } from '../../core/source/token.ts'
import type { PrivacyIdeaPort } from '../../ports/privacyidea.ts'
import { withMappedTokens } from './mapped-tokens.ts'

/**
 * The lowest max fail count of an owned token, as far as it is known: how far down the scan has to read, so that a full
 * token does not hide behind others that failed more often and may fail more often. Every reading can lower it; a
 * complete full walk sets it anew.
 */
export class FailCountFloor {
  /** As of the last complete walk; null: none was, so that any may be lower. */
  #walked: number | null = null
  #seen = Infinity

  /** 1 or more. */
  get value(): number {
    return this.#walked === null ? 1 : Math.max(1, Math.min(this.#walked, this.#seen))
  }

  see(tokens: readonly Token[]): void {
    this.#seen = Math.min(this.#seen, lowestMax(tokens))
  }

  /** Over all pages of a walk; what other readings see meanwhile counts as well. */
  async *watch<Page extends { readonly tokens: readonly Token[] }>(pages: AsyncIterable<Page>): AsyncGenerator<Page> {
    let lowest = Infinity
    const before = this.#seen
    this.#seen = Infinity
    let isComplete = false
    try {
      for await (const page of pages) {
        lowest = Math.min(lowest, lowestMax(page.tokens))
        yield page
      }
      isComplete = true
    } finally {
      if (isComplete) this.#walked = lowest
      else this.#seen = Math.min(this.#seen, before, lowest)
    }
  }
}

/** A token whose max fail count is 0 or less is full from the beginning: no counter leads to it. */
function lowestMax(tokens: readonly Token[]): number {
  return tokens.reduce((lowest, { owner, failCountMax }) => {
    return owner.kind === 'none' || failCountMax < 1 ? lowest : Math.min(lowest, failCountMax)
  }, Infinity)
}

/** The same source; the floor sees what is read through it. */
export function watchedSource(source: PrivacyIdeaPort, floor: FailCountFloor): PrivacyIdeaPort {
  const seen = (tokens: readonly Token[]): readonly Token[] => {
    floor.see(tokens)
    return tokens
  }
  return {
    ...withMappedTokens(source, seen),
    walkTokens: () => floor.watch(source.walkTokens()),
  }
}
