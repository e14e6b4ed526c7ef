/** One deliberate fault: a piece of the program's text, what stands in its place, and the tests that must notice it. */
export interface Mutant {
  /** A short name, unique in the list. */
  readonly id: string
  /** From the root of the project, as all paths here. */
  readonly file: string
  /** Occurs exactly once in the file. */
  readonly find: string
  readonly replace: string
  /** At least one test of these files must fail. */
  readonly tests: readonly string[]
}

/** The text with the fault in it. Fails where the list no longer fits the program. */
export function mutatedText({ id, file, find, replace }: Mutant, text: string): string {
  const at = text.indexOf(find)
  if (at === -1) throw new Error(`mutant ${id}: ${file} no longer holds the text to replace: ${find}`)
  if (text.includes(find, at + 1)) throw new Error(`mutant ${id}: ${file} holds the text to replace twice: ${find}`)
  if (find === replace) throw new Error(`mutant ${id}: it changes nothing`)
  return text.slice(0, at) + replace + text.slice(at + find.length)
}
