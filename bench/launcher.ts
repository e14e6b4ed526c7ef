import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { endProcess } from '../scripts/end-process.ts'

const SCRIPT = fileURLToPath(new URL('launch.sh', import.meta.url))

/** Starts programs from a small shell: a start from the benchmark itself would cost milliseconds of Node's own. */
export interface Launcher extends AsyncDisposable {
  /** Runs a command to its end. @returns when it was started, in milliseconds since 1970; fails when it fails */
  run(words: readonly string[]): Promise<number>
}

export function startLauncher(env: Readonly<Record<string, string>>): Launcher {
  const child = spawn(SCRIPT, [], { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const nextValue = async (word: string): Promise<number> => {
    const line = await lines.next()
    const [key, value] = line.done === true ? [] : line.value.split(' ')
    if (key !== word) throw new Error(`the launcher said ${line.done === true ? 'nothing' : line.value}`)
    return Number(value)
  }
  return {
    run: async (words) => {
      child.stdin.write(words.join('\t') + '\n')
      const startedAtMs = (await nextValue('started')) * 1000
      const code = await nextValue('ended')
      if (code !== 0) throw new Error(`${words[0]} ended with code ${code}`)
      return startedAtMs
    },
    [Symbol.asyncDispose]: () => endProcess(child, 'SIGTERM'),
  }
}
