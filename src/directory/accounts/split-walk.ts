import { AndFilter, NotFilter, OrFilter, SubstringFilter, type Filter } from 'ldapts'
import { isCutError } from '../ldap/cut-answers.ts'

/**
 * A walk over all entries that a filter finds, also where the server returns only so many of them. A search that is cut
 * short is made again in parts: by the first characters of a value that every account has, and one part for values that
 * begin with none of these. Together the parts find all that the search would have found, with any characters.
 */

/** What logins usually begin with; the rest is one part. Servers compare logins without regard to case. */
const FIRST_CHARACTERS = Array.from('abcdefghijklmnopqrstuvwxyz0123456789')
/** Beyond so many characters a part is no longer made smaller: 37 searches each time. */
const SPLITS_DEEP_MAX = 4

export interface SplitWalk<Page> {
  readonly filter: Filter
  /** An attribute that accounts have, and whose values begin alike for few of them only. */
  readonly attribute: string
  /** Pages of one search. Fails with `directory-cut` once the server returns no more. */
  pages(filter: Filter): AsyncIterable<Page>
}

/**
 * Entries may come twice: those of a search that was cut short come again.
 * Fails with `directory-cut` where even the smallest part is too large.
 */
export async function* walkInParts<Page>(walk: SplitWalk<Page>, begin = ''): AsyncGenerator<Page> {
  try {
    yield* walk.pages(partOf(walk, begin))
    return
  } catch (thrown) {
    if (!isCutError(thrown) || begin.length >= SPLITS_DEEP_MAX) throw thrown
  }
  for (const character of FIRST_CHARACTERS) yield* walkInParts(walk, begin + character)
  yield* walk.pages(restOf(walk, begin))
}

function partOf<Page>({ filter, attribute }: SplitWalk<Page>, begin: string): Filter {
  return begin === '' ? filter : new AndFilter({ filters: [filter, beginning(attribute, begin)] })
}

/** Those that begin so, and go on with no character of the list, or not at all. */
function restOf<Page>(walk: SplitWalk<Page>, begin: string): Filter {
  const others = FIRST_CHARACTERS.map((character) => beginning(walk.attribute, begin + character))
  return new AndFilter({
    filters: [partOf(walk, begin), new NotFilter({ filter: new OrFilter({ filters: others }) })],
  })
}

function beginning(attribute: string, initial: string): Filter {
  return new SubstringFilter({ attribute, initial, any: [], final: '' })
}
