/**
 * The suffix that a directory's groups are expected in: the `dc=` parts at the end of its base, else the last part.
 * @param base in normal form
 */
export function suffixOf(base: string): string {
  const parts = base.split(/(?<!\\),/)
  let from = parts.length - 1
  const isDomain = (at: number): boolean => parts[at]?.startsWith('dc=') === true
  while (isDomain(from) && isDomain(from - 1)) from--
  return parts.slice(from).join(',')
}
