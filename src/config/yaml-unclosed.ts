import { CST, Parser } from 'yaml'

/** A quote or a bracket that is never closed: the text after it is misread, so it is the first thing to fix. */
export interface Unclosed {
  /** Where it was opened. */
  readonly offset: number
  readonly opened: '"' | "'" | '[' | '{'
  readonly missing: '"' | "'" | ']' | '}'
}

/** A quote before a bracket, since it includes the closing bracket; of several brackets the innermost. Null: none. */
export function findUnclosed(text: string): Unclosed | null {
  let quote: Unclosed | null = null
  let bracket: Unclosed | null = null
  const look = (token: CST.Token | null | undefined): void => {
    if (token === null || token === undefined) return
    quote ??= unclosedQuote(token)
    if (token.type === 'flow-collection') bracket = unclosedBracket(token) ?? bracket
  }
  for (const token of new Parser().parse(text)) {
    if (token.type !== 'document') continue
    look(token.value)
    CST.visit(token, (item) => {
      look(item.key)
      look(item.value)
    })
  }
  return quote ?? bracket
}

const WHOLE_DOUBLE = /^"(?:[^"\\]|\\[^])*"$/
const WHOLE_SINGLE = /^'(?:[^']|'')*'$/

function unclosedQuote(token: CST.Token): Unclosed | null {
  if (token.type !== 'double-quoted-scalar' && token.type !== 'single-quoted-scalar') return null
  const opened = token.type === 'double-quoted-scalar' ? '"' : "'"
  const isClosed = (opened === '"' ? WHOLE_DOUBLE : WHOLE_SINGLE).test(token.source)
  return isClosed ? null : { offset: token.offset, opened, missing: opened }
}

function unclosedBracket(token: CST.FlowCollection): Unclosed | null {
  const isMap = token.start.type === 'flow-map-start'
  const wanted = isMap ? 'flow-map-end' : 'flow-seq-end'
  if (token.end.some((each) => each.type === wanted)) return null
  return isMap
    ? { offset: token.start.offset, opened: '{', missing: '}' }
    : { offset: token.start.offset, opened: '[', missing: ']' }
}
