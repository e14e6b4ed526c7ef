import { isMap, isNode, isPair, isScalar, LineCounter, parseDocument, visit, type Document } from 'yaml'
import type { Problem } from './problem.ts'
import { findUnclosed } from './yaml-unclosed.ts'

/** A parsed YAML text with the places of its parts. */
export interface YamlSource {
  /** Plain objects, lists and scalars; undefined when the text has problems. */
  readonly value: unknown
  readonly problems: readonly Problem[]
  /** Line and column of a key's value, or of the nearest existing part around it. */
  placeOf(path: readonly PropertyKey[]): Place
  /** Line and column of the key itself. */
  placeOfKey(path: readonly PropertyKey[]): Place
}

export interface Place {
  readonly line: number
  readonly column: number
}

/** Problems of the syntax reported at most: usually the rest follow from the first. */
const SYNTAX_PROBLEMS_MAX = 5

/** Parses YAML 1.2, one document, without custom tags. No problem repeats the text. */
export function parseYaml(text: string): YamlSource {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
  })
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  const problems = syntaxProblems(text, document, place)
  let value: unknown
  if (problems.length === 0) {
    try {
      value = document.toJS({ maxAliasCount: 100 })
    } catch {
      problems.push(
        syntax(
          place(badAliasOffset(document)),
          'an alias (*name) cannot be resolved; put quotes around a value that begins with *',
        ),
      )
    }
  }
  return {
    value,
    problems,
    placeOf: (path) => place(offsetOf(document, path, 'value')),
    placeOfKey: (path) => place(offsetOf(document, path, 'key')),
  }
}

/** After an unclosed quote or bracket, all further problems follow from it. */
function syntaxProblems(text: string, document: Document, place: (offset: number) => Place): Problem[] {
  const errors = [...document.errors, ...document.warnings]
  if (errors.length === 0) return []
  const unclosed = findUnclosed(text)
  if (unclosed !== null) {
    const { offset, opened, missing } = unclosed
    return [
      syntax(place(offset), `the ${opened} that begins here is never closed; put ${missing} where the value ends`),
    ]
  }
  const found = errors.map(({ code, pos }) => {
    return syntax(place(pos[0]), SYNTAX[code] ?? `the text is no YAML here (${code})`)
  })
  const firstOfLine = found.filter((each, index) => found.findIndex((other) => other.line === each.line) === index)
  return firstOfLine.slice(0, SYNTAX_PROBLEMS_MAX)
}

function badAliasOffset(document: Document): number {
  let offset = 0
  visit(document, {
    Alias: (_key, alias) => {
      if (alias.resolve(document) !== undefined) return undefined
      offset = alias.range?.[0] ?? 0
      return visit.BREAK
    },
  })
  return offset
}

/** Where a key or its value begins; where it is missing, the key of the section that lacks it. */
function offsetOf(document: Document, path: readonly PropertyKey[], which: 'key' | 'value'): number {
  let node: unknown = document.contents
  let value = rangeStart(node) ?? 0
  let key = value
  for (const part of path) {
    const child = childOf(node, part)
    if (child === null) return key
    key = child.keyAt ?? child.at ?? value
    value = child.at ?? key
    node = child.node
  }
  return which === 'key' ? key : value
}

function childOf(node: unknown, part: PropertyKey): { node: unknown; at: number | null; keyAt: number | null } | null {
  if (!isMap(node)) {
    const item: unknown =
      typeof part === 'number' && isNode(node) && 'items' in node ? (node.items as unknown[])[part] : undefined
    return item === undefined ? null : { node: item, at: rangeStart(item), keyAt: null }
  }
  const pair = node.items.find((each) => isPair(each) && isScalar(each.key) && String(each.key.value) === String(part))
  return pair === undefined ? null : { node: pair.value, at: rangeStart(pair.value), keyAt: rangeStart(pair.key) }
}

function rangeStart(node: unknown): number | null {
  return isNode(node) ? (node.range?.[0] ?? null) : null
}

/** The library's codes as messages to the author of the file; none repeats the text. */
const SYNTAX: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'the indentation has a tab; use spaces',
  DUPLICATE_KEY: 'this key is here a second time; keep one of the two',
  BAD_INDENT: 'the indentation does not fit; keys of one section begin in one column',
  BLOCK_AS_IMPLICIT_KEY: 'a nested section is not allowed here; put quotes around a value that holds ": "',
  MULTILINE_IMPLICIT_KEY: 'a key ends at the line end; is a ":" or a closing quote missing?',
  MISSING_CHAR: 'a character is missing here: a ":", a quote, a bracket or a comma',
  UNEXPECTED_TOKEN: 'this is not expected here; put quotes around a value that holds { } [ ] , # or ": "',
  BAD_SCALAR_START: 'a value cannot begin with this character; put quotes around it',
  BAD_DQ_ESCAPE: 'an unknown escape is in double quotes; use single quotes, or \\\\ for a backslash',
  BAD_ALIAS: 'an alias (*name) is not well formed; put quotes around a value that begins with *',
  IMPOSSIBLE: 'the text cannot be read as YAML here',
  MULTIPLE_DOCS: 'there is a second document ("---"); one is allowed',
  TAG_RESOLVE_FAILED: 'a tag (!name) is not known; put quotes around a value that begins with !',
}

function syntax(at: Place, message: string): Problem {
  return { severity: 'error', ...at, key: '', message }
}
