import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const README_LINES_MAX = 130
const ARCHITECTURE_LINES_MAX = 250
const TOP_PAGES = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md']
const PAGES = filesBelow('docs').filter((path) => path.endsWith('.md'))
/** The four kinds of pages: each page of a kind begins with what its reader wants to do. */
const KINDS = ['tutorial', 'how-to', 'reference', 'explanation']
/** Program, tests and the rest that names pages. What older versions left in test/fixtures stays as it was. */
const CODE = ['src', 'test', 'scripts', 'demo', 'bench', 'packaging', 'recipes', 'templates', 'shims'].flatMap(
  filesBelow,
)
const FIXTURES = 'test/fixtures/'
/** The pages about the program itself, and their picture. */
const PROGRAM_PAGES = ['docs/architecture.md', 'docs/explanation/internals.md', 'docs/pictures/architecture.svg']
/** Words for which the documents have others: reported, removed, reverted, is enforced, source, everybody who, they. */
const NOT_PLAIN =
  /\b(?:told|tells|bites|keeps? (?:nobody|anybody) out|(?:taken|takes?) back|truth|whoever|enrol|enrols|enrolment|he|his|him|himself|she|her|hers)\b/gi
/** Where their paths may begin. */
const SOURCE_FOLDERS = ['', 'src', 'docs']
const SOURCE_FILES = filesBelow('src')
/** Folders of a running Lockstep, not of the project. */
const OF_AN_INSTANCE = ['spool/tmp', 'spool/new', 'lock/', 'unlock/', 'unregister/', 'lock/history/', 'unlock/history/']

test.each([...TOP_PAGES, ...PAGES])('every link of %s leads somewhere', (page) => {
  for (const { target, anchor } of linksOf(page)) {
    const path = target === '' ? page : normalize(join(dirname(page), target))
    expect(existsSync(join(ROOT, path)), `${page}: ${target} is not there`).toBe(true)
    if (anchor === null) continue
    expect(anchorsOf(path), `${page}: ${target} has no heading for #${anchor}`).toContain(anchor)
  }
})

test('every page that the program, the tests or another page name is there', () => {
  const named = [...CODE.filter((path) => !path.startsWith(FIXTURES)), ...TOP_PAGES, ...PAGES].flatMap((path) =>
    [...read(path).matchAll(/(?<![\w/-])docs\/[\w/-]+\.(?:md|json|svg|pml)/g)].map(([page]) => ({ path, page })),
  )
  expect(named.length).toBeGreaterThan(40)
  expect(named.filter(({ page }) => !existsSync(join(ROOT, page)))).toEqual([])
})

test('every page is in the map', () => {
  const mapped = linksOf('docs/README.md').map(({ target }) => normalize(join('docs', target)))
  const pages = PAGES.filter((page) => !page.startsWith('docs/adr/') && page !== 'docs/README.md')
  expect(pages.filter((page) => !mapped.includes(page))).toEqual([])
})

test.each(PAGES.filter((page) => KINDS.some((kind) => page.startsWith(`docs/${kind}/`))))(
  '%s has a title, and then a sentence',
  (page) => {
    expect(read(page)).toMatch(/^# .+\n\n[A-Z][^\n]/)
  },
)

test.each(['README.md', ...PAGES])('%s has plain words: a person is "they", a program reports', (page) => {
  const prose = withoutBlocks(read(page)).replaceAll(/`[^`\n]*`|\]\([^)]*\)/g, '')
  expect(prose.match(NOT_PLAIN) ?? []).toEqual([])
})

test('README.md can be read at one go', () => {
  expect(linesOf('README.md')).toBeLessThanOrEqual(README_LINES_MAX)
})

test('every command of README.md to install and begin is one of docs/how-to/install.md, whose blocks a test runs', () => {
  const installed = new Set(blocksOf('docs/how-to/install.md').flatMap(commandsOf))
  const [install = [], quickStart = [], ...others] = blocksOf('README.md').map(commandsOf)
  expect(others).toEqual([])
  expect(install[0]).toBe('cp -r lockstep /opt/lockstep')
  expect(quickStart).toHaveLength(6)
  expect([...install, ...quickStart].filter((command) => !installed.has(command))).toEqual([])
})

test('docs/architecture.md can be read in ten minutes', () => {
  expect(linesOf('docs/architecture.md')).toBeLessThanOrEqual(ARCHITECTURE_LINES_MAX)
})

test.each(PROGRAM_PAGES)('every file and folder of the project that %s names is there', (page) => {
  const named = pathsIn(page)
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter((path) => !isThere(path))).toEqual([])
})

/** As it is named from the root, from src/ or from docs/; a name without a folder is one of any file of the program. */
function isThere(path: string): boolean {
  if (OF_AN_INSTANCE.includes(path)) return true
  if (SOURCE_FOLDERS.some((folder) => existsSync(join(ROOT, folder, path)))) return true
  return !path.includes('/') && SOURCE_FILES.some((file) => file.endsWith(`/${path}`))
}

/** What a reader copies: the blocks of a page that are marked as sh. */
function blocksOf(page: string): string[] {
  return [...read(page).matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = '']) => block)
}

/** The commands of a block, each in one line. */
function commandsOf(block: string): string[] {
  return block
    .replaceAll(/ \\\n */g, ' ')
    .trimEnd()
    .split('\n')
}

/** What stands in backticks, in the tree or in a picture and looks like a file or folder: without a placeholder. */
function pathsIn(page: string): string[] {
  const text = read(page)
  if (page.endsWith('.svg')) return [...text.matchAll(/\b(?:src|shims)\/[\w./-]*/g)].map(([path]) => path)
  const spans = [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span)
  const inText = spans.filter((span) => /^[\w.-]+(?:\/[\w.-]+)*\/?$/.test(span) && /\/|\.(?:ts|md|sh|json)$/.test(span))
  // Each line of the tree begins with a file or folder.
  const tree = /^## The tree\n[^]*?^```\n([^]*?)^```/m.exec(text)?.[1] ?? ''
  const inTree = [...tree.matchAll(/^([\w.-]+(?:\/[\w.-]+)*\/?) /gm)].map(([, path = '']) => path)
  return [...new Set([...inText, ...inTree])]
}

function linksOf(page: string): { target: string; anchor: string | null }[] {
  const text = withoutBlocks(read(page)).replaceAll(/`[^`\n]*`/g, '')
  return [...text.matchAll(/\]\(([^)#\s]*)(?:#([^)\s]*))?\)/g)]
    .map(([, target = '', anchor]) => ({ target, anchor: anchor ?? null }))
    .filter(({ target }) => !/^[a-z]+:/.test(target))
}

/** The anchors that a page gets of its headings: as GitHub makes them. */
function anchorsOf(page: string): string[] {
  return [...withoutBlocks(read(page)).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_\- ]/gu, '')
      .replaceAll(' ', '-'),
  )
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^```.*?^```/gms, '')
}

function linesOf(page: string): number {
  return read(page).trimEnd().split('\n').length
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter(
      (entry) => entry.isFile() && /\.(?:ts|md|sh|json|yaml|liquid|txt|html|service|conf|svg|pml)$/.test(entry.name),
    )
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length))
}
