/** `1 account`, `2 accounts`: no text for people has a count without its noun in the right number. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`
}

export function percentOf(share: number): string {
  return `${Number((share * 100).toFixed(3))} %`
}
