/* oxlint-disable -- no TypeScript: it runs in a page, whose types are not there */
/*
 * Runs in a page (test/e2e/rehearsal/rehearsal-page.test.ts): what cannot be read there without scrolling sideways, or at all. Gives
 * sentences, none where all is well.
 */
;(() => {
  const found = []
  const SLACK_PX = 1
  const width = document.documentElement.clientWidth
  const shownText = (text) => JSON.stringify(text.trim().slice(0, 40))
  const isHidden = (element) =>
    element.closest('thead') !== null && getComputedStyle(element.closest('thead')).position === 'absolute'

  if (document.scrollingElement.scrollWidth > window.innerWidth) {
    found.push(`the page is ${document.scrollingElement.scrollWidth} px wide`)
  }
  // What is folded takes no place, and much time.
  const FOLDED = 'details:not([open]) > :not(summary)'
  for (const element of document.body.querySelectorAll(`:not(:is(${FOLDED}), :is(${FOLDED}) *)`)) {
    if (element.clientWidth === 0 || element.ownerSVGElement || isHidden(element)) continue
    const { overflowX, display } = getComputedStyle(element)
    if (display === 'inline') continue
    if (element.scrollWidth > element.clientWidth + SLACK_PX && !element.matches('.times span, .values *')) {
      found.push(
        `${element.tagName}.${element.className} holds ${element.scrollWidth} px in ${element.clientWidth} (${overflowX})`,
      )
    }
  }

  // Each text is within the window, and within whatever would cut it.
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ALL, (node) =>
    node.nodeType === Node.TEXT_NODE
      ? NodeFilter.FILTER_ACCEPT
      : node.nodeType === Node.ELEMENT_NODE && node.matches(FOLDED)
        ? NodeFilter.FILTER_REJECT
        : NodeFilter.FILTER_SKIP,
  )
  const plots = new Map()
  while (walker.nextNode() !== null) {
    const node = walker.currentNode
    if (node.textContent.trim() === '' || node.parentElement.ownerSVGElement || isHidden(node.parentElement)) continue
    const range = document.createRange()
    range.selectNodeContents(node)
    const plot = node.parentElement.closest('.plot')
    for (const rect of range.getClientRects()) {
      if (rect.left < -SLACK_PX || rect.right > width + SLACK_PX)
        found.push(`${shownText(node.textContent)} sticks out`)
      if (plot !== null) plots.set(plot, [...(plots.get(plot) ?? []), { rect, text: node.textContent }])
    }
  }
  for (const texts of plots.values()) {
    texts.forEach((a, index) => {
      for (const b of texts.slice(index + 1)) {
        const wide = Math.min(a.rect.right, b.rect.right) - Math.max(a.rect.left, b.rect.left)
        const high = Math.min(a.rect.bottom, b.rect.bottom) - Math.max(a.rect.top, b.rect.top)
        // A line of text is higher than its letters.
        if (wide > 0 && high > 5) found.push(`${shownText(a.text)} lies over ${shownText(b.text)}`)
      }
    })
  }

  const charts = []
  for (const svg of document.querySelectorAll('svg')) {
    const place = svg.getBoundingClientRect()
    if (place.width === 0) continue
    if (place.right > width + SLACK_PX) found.push('a chart sticks out')
    const bars = [...svg.querySelectorAll('rect[data-count]')]
    for (const shape of svg.querySelectorAll('rect, line')) {
      const box = shape.getBoundingClientRect()
      if (box.left < place.left - SLACK_PX || box.right > place.right + SLACK_PX) found.push('a bar or line sticks out')
      if (box.top < place.top - SLACK_PX || box.bottom > place.bottom + SLACK_PX)
        found.push('a bar or line is too high')
    }
    for (const bar of bars) {
      const box = bar.getBoundingClientRect()
      if (box.height < 1 || box.width < 1.5) found.push(`a bar is ${box.width} px by ${box.height} px`)
    }
    const label = svg.parentElement.querySelector('.limit-text')
    const line = svg.querySelector('line.limit')
    let limit = null
    if (line !== null) {
      const from = label.getBoundingClientRect()
      const at = line.getBoundingClientRect()
      limit = label.textContent
      if (from.bottom > at.bottom + SLACK_PX) found.push(`${shownText(limit)} is not above its line`)
      for (const bar of bars) {
        const box = bar.getBoundingClientRect()
        const isOver =
          box.right > from.left && box.left < from.right && box.top < from.bottom - 3 && box.bottom > from.top
        if (isOver) found.push(`${shownText(limit)} hides a bar`)
      }
    }
    if (svg.querySelector('title') === null || svg.querySelector('desc') === null) found.push('a chart has no title')
    charts.push({
      id: svg.getAttribute('aria-labelledby'),
      sum: bars.reduce((sum, bar) => sum + Number(bar.dataset.count), 0),
      bars: bars.length,
      width: place.width,
      limit,
    })
  }
  const { fontSize } = getComputedStyle(document.documentElement)
  return { found: [...new Set(found)], charts, fontSize }
})()
