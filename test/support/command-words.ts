/** The words of a command line after the program's name, as a shell splits it: double quotes, and a backslash before a line's end. */
export function wordsOf(line: string): string[] {
  const joined = line.replaceAll(/\\\n\s*/g, '')
  const words = joined.match(/(?:"[^"]*"|[^\s"])+/g) ?? []
  const bare = words.map((word) => word.replaceAll('"', ''))
  const at = bare.indexOf('lockstep')
  if (at === -1) throw new Error(`no command of Lockstep: ${line}`)
  return bare.slice(at + 1)
}
