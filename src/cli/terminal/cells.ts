/** Texts measured in the cells that they take on a terminal. */

/** East Asian wide characters, and emoji that are pictures by default (UAX #11; wcwidth of glibc agrees). */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]|(?![\u{1f1e6}-\u{1f1ff}])\p{Emoji_Presentation}/gu
// eslint-disable-next-line no-control-regex -- colours begin with one
const ZERO_WIDTH = /\u001b\[[\d;]*m|\p{Mn}|\p{Me}|(?!\u00ad)\p{Cf}|[\u1160-\u11ff]/gu

/** East Asian wide characters and emoji take two, combining marks and colours none. */
export function cellWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  const visible = text.replace(ZERO_WIDTH, '')
  return Array.from(visible).length + (visible.match(WIDE)?.length ?? 0)
}

/** At most so many cells, with `…` at the end of a shortened text. */
export function shorten(text: string, width: number): string {
  return cellWidth(text) <= width ? text : `${headOf(text, width - 1)}…`
}

/** The characters that fit; one at least, so that cutting piece by piece ends. */
function headOf(text: string, width: number): string {
  let head = ''
  let used = 0
  for (const character of text) {
    used += cellWidth(character)
    if (used > width && head !== '') break
    head += character
  }
  return head
}

/**
 * A text on lines of at most `width` cells. It breaks at spaces; a word that is longer than a line breaks behind a
 * comma, as a DN has them, else anywhere. Only the spaces at the breaks are left out.
 * @param firstWidth the width of the first line, where it differs
 */
export function wrapped(text: string, width: number, firstWidth = width): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ').flatMap((each) => pieces(each, Math.min(width, firstWidth)))) {
    const joined = line === '' ? word.text : `${line}${word.isInner ? '' : ' '}${word.text}`
    if (cellWidth(joined) <= (lines.length === 0 ? firstWidth : width)) line = joined
    else {
      lines.push(line)
      line = word.text
    }
  }
  return [...lines, line]
}

interface Piece {
  readonly text: string
  /** It continues the word before it. */
  readonly isInner: boolean
}

function pieces(word: string, width: number): Piece[] {
  if (cellWidth(word) <= width) return [{ text: word, isInner: false }]
  const found: string[] = []
  for (const part of word.split(/(?<=,)/)) {
    let rest = part
    while (cellWidth(rest) > width) {
      const head = headOf(rest, width)
      found.push(head)
      rest = rest.slice(head.length)
    }
    if (rest !== '') found.push(rest)
  }
  return found.map((text, at) => ({ text, isInner: at > 0 }))
}

/** As `wrapped`, behind a first part of the line; the lines that follow are indented. */
export function wrappedBehind(first: string, text: string, width: number, indent = cellWidth(first)): string[] {
  const lines = wrapped(text, Math.max(1, width - indent), Math.max(1, width - cellWidth(first)))
  return lines.map((line, at) => (at === 0 ? first : ' '.repeat(indent)) + line)
}
