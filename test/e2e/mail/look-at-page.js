/* oxlint-disable -- no TypeScript: it runs in a page, whose types are not there */
/* Runs in a page (mail-appearance.test.ts, rehearsal-page.test.ts): how wide it is, and the contrast of each text and shape to what lies behind it. */
;(() => {
  const channels = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number)
  const luminance = (colour) => {
    const [r = 0, g = 0, b = 0] = channels(colour).map((value) => {
      const part = value / 255
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const behind = (element) => {
    for (let each = element; each !== null; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor
      if (channels(colour)[3] !== 0) return colour
    }
    return 'rgb(255, 255, 255)'
  }
  const low = []
  let texts = 0
  let fontMin = 100
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode() !== null) {
    const node = walker.currentNode
    const text = node.textContent?.trim() ?? ''
    const parent = node.parentElement
    if (text === '' || text === '\u00a0' || parent === null || parent.ownerSVGElement) continue
    texts++
    const style = getComputedStyle(parent)
    fontMin = Math.min(fontMin, Number.parseFloat(style.fontSize))
    const [a, b] = [luminance(style.color), luminance(behind(parent))]
    low.push({ text, contrast: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) })
  }
  const shapes = []
  for (const shape of document.querySelectorAll('rect[data-count], line.limit, line.base')) {
    const { fill, stroke } = getComputedStyle(shape)
    const [a, b] = [luminance(shape.tagName === 'line' ? stroke : fill), luminance(behind(shape.ownerSVGElement))]
    shapes.push({ name: shape.getAttribute('class'), contrast: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) })
  }
  const { scrollWidth } = document.documentElement
  return { scrollWidth, texts, fontMin, backgroundLuminance: luminance(behind(document.body)), low, shapes }
})()
