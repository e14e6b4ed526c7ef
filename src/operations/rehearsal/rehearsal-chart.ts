import { stretchText, timeTicks, type Bins } from './rehearsal-time.ts'

/**
 * Bars over time as HTML and SVG, with the width of their container. The bars are drawn in a picture that is stretched;
 * lines keep their width. All texts are HTML beside it, so they keep their size. Pure.
 */

export interface Layer {
  readonly name: 'locked' | 'spared'
  /** The noun for a bar's number: `would have been locked`. */
  readonly what: string
  readonly counts: readonly number[]
}

export interface Limit {
  readonly value: number
  /** As in `limit 10 in 10 min`. */
  readonly text: string
}

export interface Plot {
  /** Unique in the page. */
  readonly id: string
  readonly title: string
  readonly bins: Bins
  /** From the bottom up. */
  readonly layers: readonly Layer[]
  readonly limit: Limit | null
  readonly ticksMax: number
}

interface Scale {
  readonly top: number
  readonly unit: number
}

/** The picture's own units; it is stretched to its container. */
const WIDTH = 1000
const HEIGHT = 100
const BAR_SHARE = 0.8
/** The least height, so that a bar of one lock is visible beside one of thousands. */
const BAR_HEIGHT_LEAST = 1.5
/** Of a cut bar, for the layers above the lowest one. */
const ABOVE_MAX = 40
/** Where a bar that is cut has its gap, from the top. */
const GAP = { y: 5, height: 4 }
const GRID_LINES_MAX = 4
/** Bars that are so many times higher than 9 of 10 of them are cut, so that the others are visible. */
const CUT_FACTOR = 4
const CUT_SHARE = 0.9
const NOTED_MAX = 3
/** A tick nearer to the right edge has no room for its text. */
const TICK_SHARE_MAX = 0.94
/** The part of the width that the text of the limit takes. */
const LIMIT_TEXT_SHARE = 0.55

export function plotHtml(plot: Plot): string {
  const { id, title, bins, limit } = plot
  const totals = bins.edgesMs.slice(1).map((_, index) => totalOf(plot, index))
  const scale = scaleOf(totals, limit?.value ?? 0)
  const cut = totals.flatMap((total, index) => (total > scale.top ? [{ total, index }] : []))
  const values = Array.from({ length: scale.top / scale.unit + 1 }, (_, index) => index * scale.unit)
  return `<p class="caption" id="${id}-caption">${title}</p>
<div class="plot">
<div class="values" aria-hidden="true">${values.map((value) => `<span>${value.toLocaleString('en')}</span>`).join('')}</div>
<div class="area">
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="100%" height="160" preserveAspectRatio="none" role="img" aria-labelledby="${id}-title" aria-describedby="${id}-desc">
<title id="${id}-title">${title}</title>
<desc id="${id}-desc">${description(plot, totals)}</desc>
${values.map((value) => lineAt(value, scale, value === 0 ? 'base' : 'grid')).join('')}
${totals.map((total, index) => barHtml(plot, scale, index, total)).join('')}
${limit === null ? '' : lineAt(limit.value, scale, 'limit')}
</svg>${limit === null ? '' : limitText(limit, scale, totals)}
</div>
<div class="times" aria-hidden="true">${tickTexts(plot)}</div>
</div>${cutNote(bins, cut)}`
}

function totalOf({ layers }: Plot, index: number): number {
  return layers.reduce((sum, { counts }) => sum + (counts[index] ?? 0), 0)
}

/** Up to the highest bar and the limit, in whole steps of 1, 2 or 5 times a power of ten. */
function scaleOf(totals: readonly number[], limit: number): Scale {
  const counts = totals.filter((total) => total > 0).toSorted((a, b) => a - b)
  const most = counts.at(-1) ?? 1
  const usual = Math.max(limit, counts[Math.floor((counts.length - 1) * CUT_SHARE)] ?? 1)
  const highest = most > CUT_FACTOR * usual ? 2 * usual : Math.max(most, limit)
  for (let power = 1; ; power *= 10) {
    for (const factor of [1, 2, 5]) {
      const unit = factor * power
      const lines = Math.max(1, Math.ceil(highest / unit))
      if (lines <= GRID_LINES_MAX) return { unit, top: lines * unit }
    }
  }
}

/** How far right a time is, 0 to 1. */
function shareOf({ edgesMs }: Bins, atMs: number): number {
  const [firstMs = 0, lastMs = 1] = [edgesMs[0], edgesMs.at(-1)]
  return (atMs - firstMs) / (lastMs - firstMs)
}

function barHtml(plot: Plot, { top }: Scale, index: number, total: number): string {
  const { bins, layers } = plot
  const [fromMs = 0, toMs = 0] = [bins.edgesMs[index], bins.edgesMs[index + 1]]
  const slot = (shareOf(bins, toMs) - shareOf(bins, fromMs)) * WIDTH
  const place = `x="${(shareOf(bins, fromMs) * WIDTH + (slot * (1 - BAR_SHARE)) / 2).toFixed(2)}" width="${(slot * BAR_SHARE).toFixed(2)}"`
  const heightOf = (count: number): number => (count === 0 ? 0 : Math.max(BAR_HEIGHT_LEAST, (count / top) * HEIGHT))
  // A cut bar leaves room for the layers above its lowest one.
  const above = (at: number): number =>
    Math.min(
      ABOVE_MAX,
      layers.slice(at + 1).reduce((sum, { counts }) => sum + heightOf(counts[index] ?? 0), 0),
    )
  let y = HEIGHT
  const rects = layers.map(({ name, what, counts }, at) => {
    const count = counts[index] ?? 0
    if (count === 0) return ''
    const height = Math.min(y - above(at), heightOf(count))
    y -= height
    const text = `${stretchText(bins.step, fromMs)}: ${count.toLocaleString('en')} ${what}`
    return `<rect class="${name}" ${place} y="${y.toFixed(2)}" height="${height.toFixed(2)}" data-count="${count}"><title>${text}</title></rect>`
  })
  const gap = total > top ? `<rect class="gap" ${place} y="${GAP.y}" height="${GAP.height}"/>` : ''
  return rects.join('') + gap
}

function lineAt(value: number, { top }: Scale, name: 'base' | 'grid' | 'limit'): string {
  const y = (HEIGHT - (value / top) * HEIGHT).toFixed(2)
  return `<line class="${name}" x1="0" x2="${WIDTH}" y1="${y}" y2="${y}"/>`
}

/** Above the line, at the side where it hides no bar; above the picture where both sides have one. */
function limitText({ value, text }: Limit, { top }: Scale, totals: readonly number[]): string {
  const length = Math.ceil(totals.length * LIMIT_TEXT_SHARE)
  const isFree = (side: readonly number[]): boolean => side.every((total) => total <= value)
  const side = isFree(totals.slice(-length)) ? 'right' : isFree(totals.slice(0, length)) ? 'left' : 'above'
  const percent = side === 'above' ? 100 : (value / top) * 100
  return `<span class="limit-text ${side}" aria-hidden="true" style="--at:${percent.toFixed(2)}%">${text}</span>`
}

function tickTexts({ bins, ticksMax }: Plot): string {
  const [fromMs = 0, toMs = 0] = [bins.edgesMs[0], bins.edgesMs.at(-1)]
  return timeTicks(fromMs, toMs, ticksMax)
    .map(({ atMs, text }) => ({ share: shareOf(bins, atMs), text }))
    .filter(({ share }) => share <= TICK_SHARE_MAX)
    .map(({ share, text }) => `<span style="left:${(share * 100).toFixed(2)}%">${text}</span>`)
    .join('')
}

function description({ bins, layers }: Plot, totals: readonly number[]): string {
  const { step, edgesMs } = bins
  const highest = totals.indexOf(Math.max(...totals))
  const counts = layers.map(({ what, counts: all }) => `${(all[highest] ?? 0).toLocaleString('en')} ${what}`)
  const filled = totals.filter((total) => total > 0).length
  return `${totals.length} bars, ${filled} of them not empty. The highest is that of ${stretchText(step, edgesMs[highest] ?? 0)}: ${counts.join(', ')}.`
}

function cutNote({ step, edgesMs }: Bins, cut: readonly { readonly total: number; readonly index: number }[]): string {
  if (cut.length === 0) return ''
  const named = cut
    .toSorted((a, b) => b.total - a.total)
    .slice(0, NOTED_MAX)
    .map(({ total, index }) => `${stretchText(step, edgesMs[index] ?? 0)} (${total.toLocaleString('en')})`)
  const more = cut.length > named.length ? ` and ${cut.length - named.length} more` : ''
  return `\n<p class="note">Higher than drawn: ${named.join(', ')}${more}.</p>`
}
