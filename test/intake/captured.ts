import { readFileSync } from 'node:fs'

/** What privacyIDEA 3.13.3 really handed over: the call, and the script's arguments or the webhook's body. */
export interface Captured {
  readonly call: string
  readonly position: 'pre' | 'post'
  readonly args?: readonly string[]
  readonly body?: string
}

const FILE = new URL('../fixtures/privacyidea-3.13.3-captured.txt', import.meta.url)

export function readCaptured(): Captured[] {
  const found: Captured[] = []
  let call = ''
  for (const line of readFileSync(FILE, 'utf8').split('\n')) {
    const heading = /^## (.*) -> /.exec(line)
    const script = /^ {3}S (pre|post) (.*?) ?$/.exec(line)
    const webhook = /^ {3}W \/(pre|post)\/\S+ (\{.*\})$/.exec(line)
    if (heading?.[1] !== undefined) call = heading[1]
    else if (script?.[2] !== undefined) {
      const args = [...script[2].matchAll(/<([^>]*)>/g)].map((match) => match[1] ?? '')
      found.push({ call, position: script[1] === 'pre' ? 'pre' : 'post', args })
    } else if (webhook?.[2] !== undefined) {
      found.push({ call, position: webhook[1] === 'pre' ? 'pre' : 'post', body: webhook[2] })
    }
  }
  return found
}
