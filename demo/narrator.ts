import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { styleText } from 'node:util'

const NAME_WIDTH_MAX = 66

/** Prints the story so that it reads well on a terminal and in a log. Colours appear on a terminal only. */
export interface Narrator {
  title(text: string): void
  /** The next numbered scene. */
  scene(text: string): void
  say(text: string): void
  /** A command as a person would type it. */
  command(words: readonly string[]): void
  /** What a command answered, indented. */
  answer(text: string): void
  /** Something that was proved. */
  proved(text: string): void
  refuted(text: string): void
  /** The files below a folder, as a small tree. */
  tree(dir: string, title: string): void
}

type Style = Parameters<typeof styleText>[0]

export function openNarrator(out: NodeJS.WriteStream): Narrator {
  const paint = (style: Style, text: string): string => styleText(style, text, { stream: out })
  const line = (text: string): void => void out.write(text + '\n')
  let scenes = 0
  return {
    title: (text) => line(`${paint('bold', text)}\n${'='.repeat(text.length)}`),
    scene: (text) => line(`\n${paint('bold', `${String(++scenes).padStart(2)}. ${text}`)}`),
    say: (text) => line(`    ${text}`),
    command: (words) => line(`    ${paint('cyan', `$ ${words.map(quoted).join(' ')}`)}`),
    answer: (text) => {
      for (const each of text.trimEnd().split('\n')) line(`      ${paint('dim', each)}`)
    },
    proved: (text) => line(`    ${paint('green', 'ok')}  ${text}`),
    refuted: (text) => line(`    ${paint('red', 'NOT OK')}  ${text}`),
    tree: (dir, title) => {
      line(`    ${title}`)
      for (const each of treeLines(dir)) line(`      ${paint('dim', each)}`)
    },
  }
}

/** A word as a POSIX shell reads it back. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}

/** One line for each folder of `dir` that has files, with its files: the newest three where there are more. */
function treeLines(dir: string): string[] {
  const folders = new Map<string, string[]>()
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || entry.name.startsWith('.')) continue
    const folder = join(entry.parentPath, '.').slice(dir.length + 1)
    folders.set(folder, [...(folders.get(folder) ?? []), entry.name])
  }
  const lines = [...folders]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([folder, files]) => branch(folder, files))
  return lines.length === 0 ? ['(empty)'] : lines
}

const FILES_SHOWN_MAX = 3

function branch(folder: string, files: readonly string[]): string[] {
  const shown = files.toSorted(byTime).slice(-FILES_SHOWN_MAX)
  const more = files.length - shown.length
  return [
    `${folder}/`,
    ...(more > 0 ? [`  (and ${more} older)`] : []),
    ...shown.map((name) => `  ${name.length > NAME_WIDTH_MAX ? `${name.slice(0, NAME_WIDTH_MAX)}…` : name}`),
  ]
}

/** History files by the time in their names, others by name. */
function byTime(a: string, b: string): number {
  const key = (name: string): string => name.slice(name.lastIndexOf('--') + 1)
  return key(a) < key(b) ? -1 : 1
}
