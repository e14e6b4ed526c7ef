/** Which test files a part of a name stands for. Pure. */

/**
 * @param files paths below the folder of the tests, with `/`
 * @param parts folders, or parts of a path; none: all files
 * @returns null where one of the parts stands for no file
 */
export function filesOfParts(files: readonly string[], parts: readonly string[]): string[] | null {
  const wanted = parts.map((part) => part.replace(/^(?:\.\/)?(?:test\/)?(?:e2e\/)?/, ''))
  const isIn = (file: string, part: string): boolean => file.includes(part)
  if (wanted.some((part) => !files.some((file) => isIn(file, part)))) return null
  return files.filter((file) => wanted.length === 0 || wanted.some((part) => isIn(file, part)))
}

/** All there is, a line for each folder: `mail/: rollout, outbox`. */
export function listOfParts(files: readonly string[]): string {
  const folders = Map.groupBy(files, (file) => file.slice(0, file.lastIndexOf('/') + 1))
  const lines = [...folders].map(([folder, inside]) => {
    const names = inside.map((file) => file.slice(folder.length).replace(/\.test\.ts$/, ''))
    return `  ${folder}: ${names.toSorted().join(', ')}\n`
  })
  return lines.toSorted().join('')
}
