import { cellWidth } from '../src/cli/terminal/cells.ts'

/** What a terminal showed, as an SVG picture: one cell is as wide as the next in whatever font the reader has. Pure. */

const CELL_WIDTH = 8.4
const LINE_HEIGHT = 18
const FONT_SIZE = 14
const MARGIN = 16

/** By the codes of `Select Graphic Rendition` (ECMA-48) that `styleText` of Node.js writes. */
const COLOURS: Readonly<Record<number, string>> = { 31: '#ff8a80', 32: '#7ee08c', 33: '#f2c55c' }

interface Style {
  readonly isBold: boolean
  readonly colour: string | null
}

interface Run extends Style {
  readonly text: string
}

const PLAIN: Style = { isBold: false, colour: null }

/** @param lines with their colours; a line without control characters is one as well */
export function terminalSvg(lines: readonly string[], columns: number, title: string): string {
  const width = columns * CELL_WIDTH + 2 * MARGIN
  const height = lines.length * LINE_HEIGHT + 2 * MARGIN
  let style = PLAIN
  const texts = lines.flatMap((line, at) => {
    const { runs, after } = runsOf(line, style)
    style = after
    return runsSvg(runs, MARGIN + at * LINE_HEIGHT + FONT_SIZE)
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">
<title>${escaped(title)}</title>
<style>text{font:${FONT_SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#e6e9ee;white-space:pre}.b{font-weight:700}</style>
<rect width="100%" height="100%" rx="8" fill="#171b22"/>
${texts.join('\n')}
</svg>
`
}

function runsOf(line: string, before: Style): { readonly runs: Run[]; readonly after: Style } {
  const runs: Run[] = []
  let style = before
  // oxlint-disable-next-line no-control-regex -- what colours begin with
  for (const part of line.split(/(\u001b\[[\d;]*m)/)) {
    // oxlint-disable-next-line no-control-regex -- likewise
    const codes = /^\u001b\[([\d;]*)m$/.exec(part)?.[1]
    if (codes === undefined) runs.push({ ...style, text: part })
    else for (const code of codes.split(';')) style = styled(style, Number(code))
  }
  return { runs: runs.filter(({ text }) => text !== ''), after: style }
}

function styled(style: Style, code: number): Style {
  if (code === 0) return PLAIN
  if (code === 1) return { ...style, isBold: true }
  if (code === 22) return { ...style, isBold: false }
  if (code === 39) return { ...style, colour: null }
  return { ...style, colour: COLOURS[code] ?? style.colour }
}

/** A text for each word, so that a font with other widths moves nothing out of its column. */
function runsSvg(runs: readonly Run[], y: number): string[] {
  let column = 0
  return runs.flatMap(({ text, isBold, colour }) =>
    text.split(/( +)/).flatMap((word) => {
      const x = MARGIN + column * CELL_WIDTH
      const cells = cellWidth(word)
      column += cells
      if (word.trim() === '') return []
      const look = `${isBold ? ' class="b"' : ''}${colour === null ? '' : ` style="fill:${colour}"`}`
      const length = ` textLength="${rounded(cells * CELL_WIDTH)}" lengthAdjust="spacingAndGlyphs"`
      return [`<text x="${rounded(x)}" y="${y}"${length}${look}>${escaped(word)}</text>`]
    }),
  )
}

function rounded(value: number): string {
  return String(Number(value.toFixed(1)))
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
