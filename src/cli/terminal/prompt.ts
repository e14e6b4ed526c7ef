import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { AppError } from '../../core/error.ts'
import type { CliIo } from './io.ts'

/** Asks a person at the terminal, on stderr, so that stdout has the result only. */
export interface Prompt {
  /** @param problem why an answer is not accepted, or null; the question is asked again then, a few times */
  ask(question: string, fallback: string | null, problem?: (answer: string) => string | null): Promise<string>
  /** The input is not shown. */
  askSecret(question: string): Promise<string>
  [Symbol.dispose](): void
}

/** How often a question is asked at most. */
const TRIES_MAX = 5

/** Null without a terminal: stdin or stderr is none. */
export function openPrompt(io: CliIo): Prompt | null {
  if (!io.stdin.isTTY || !io.stderr.isTTY) return null
  let muted = false
  const output = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (!muted) io.stderr.write(chunk)
      done()
    },
  })
  const lines = createInterface({ input: io.stdin, output, terminal: true, historySize: 0 })
  const abort = new AbortController()
  lines.once('close', () => abort.abort())
  const question = async (text: string): Promise<string> => {
    try {
      return (await lines.question(text, { signal: abort.signal })).trim()
    } catch (error) {
      throw new AppError('usage', 'broken off; nothing was written', { cause: error })
    }
  }
  return {
    ask: async (text, fallback, problem = () => null) => {
      for (let tries = 0; tries < TRIES_MAX; tries += 1) {
        const answer = (await question(fallback === null ? `${text}: ` : `${text} [${fallback}]: `)) || (fallback ?? '')
        const wrong = answer === '' ? 'an answer is needed' : problem(answer)
        if (wrong === null) return answer
        io.stderr.write(`  ${wrong}\n`)
      }
      throw new AppError('usage', `no usable answer to "${text}"`)
    },
    askSecret: async (text) => {
      io.stderr.write(`${text}: `)
      muted = true
      try {
        return await question('')
      } finally {
        muted = false
        io.stderr.write('\n')
      }
    },
    [Symbol.dispose]: () => lines.close(),
  }
}
