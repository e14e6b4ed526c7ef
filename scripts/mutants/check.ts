import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mutatedText, type Mutant } from './mutant.ts'

/**
 * Puts one fault after the other into copies of the project and runs the tests that must notice it. The checkout itself is
 * only read.
 */

/** What the tests named in the list need, where it is there. */
const COPIED = ['src', 'test', 'templates', 'shims', 'package.json', 'tsconfig.json']
/** No test file came to its end for so long: a fault that makes a program run in a circle is of no use, choose another. */
const SILENCE_MAX_MS = 300_000
const OUTPUT_LINES_MAX = 60

const CONFIG = `export default {
  test: { include: ['test/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000, reporters: ['default', 'json'] },
}
`

/**
 * `died`: a test failed. `survived`: all passed. `broken`: the tests could not be run, which proves nothing. `endless`: they
 * came to no end.
 */
export type Fate = 'died' | 'survived' | 'broken' | 'endless'

export interface Verdict {
  readonly mutant: Mutant
  readonly fate: Fate
  readonly tookMs: number
  /** What the test runner printed, where the fate is not `died`. */
  readonly output: string
}

export interface CheckOptions {
  readonly root: string
  /** How many copies are at work at the same time. */
  readonly copies: number
  onVerdict?(verdict: Verdict): void
}

/**
 * @returns a verdict for each mutant, in the order of the list
 * Fails where the list does not fit the program, and where the tests fail without any fault.
 */
export async function checkMutants(mutants: readonly Mutant[], options: CheckOptions): Promise<Verdict[]> {
  const { root, copies } = options
  for (const mutant of mutants) mutatedText(mutant, readFileSync(join(root, mutant.file), 'utf8'))
  using bench = openBench(root)
  const folders = Array.from({ length: Math.max(1, Math.min(copies, mutants.length)) }, () => bench.copy())
  const [first] = folders
  if (first === undefined) return []
  const files = [...new Set(mutants.flatMap(({ tests }) => tests))]
  const unchanged = await bench.run(first, files, folders.length)
  if (unchanged.fate !== 'survived') {
    throw new Error(`the tests fail without any fault (${unchanged.fate}):\n${unchanged.output}`)
  }
  const verdicts: Verdict[] = []
  const left = mutants.entries()
  const work = async (folder: string): Promise<void> => {
    // One iterator: each copy takes the next.
    for (const [at, mutant] of left) {
      const startedAt = performance.now()
      const path = join(folder, mutant.file)
      const text = readFileSync(path, 'utf8')
      writeFileSync(path, mutatedText(mutant, text))
      const { fate, output } = await bench.run(folder, mutant.tests, 1)
      writeFileSync(path, text)
      const verdict = { mutant, fate, output, tookMs: performance.now() - startedAt }
      verdicts[at] = verdict
      options.onVerdict?.(verdict)
    }
  }
  await Promise.all(folders.map(work))
  return verdicts
}

interface Run {
  readonly fate: Fate
  readonly output: string
}

interface Bench extends Disposable {
  /** @returns the folder of a new copy */
  copy(): string
  run(folder: string, files: readonly string[], workers: number): Promise<Run>
}

/** Removes its copies, and ends what it started, when it is disposed or the process exits. */
function openBench(root: string): Bench {
  const dir = mkdtempSync(join(tmpdir(), 'lockstep-mutants-'))
  const running = new Set<ChildProcess>()
  const close = (): void => {
    for (const child of running) child.kill('SIGKILL')
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
  }
  process.once('exit', close)
  let count = 0
  return {
    copy() {
      const folder = join(dir, String(++count))
      mkdirSync(folder)
      for (const name of COPIED) {
        if (existsSync(join(root, name))) cpSync(join(root, name), join(folder, name), { recursive: true })
      }
      symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
      writeFileSync(join(folder, 'vitest.config.ts'), CONFIG)
      return folder
    },
    async run(folder, files, workers) {
      const report = join(folder, 'report.json')
      rmSync(report, { force: true })
      const vitest = join(folder, 'node_modules', 'vitest', 'vitest.mjs')
      const args = [vitest, 'run', '--bail', '1', '--maxWorkers', String(workers), '--outputFile', report, ...files]
      const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
      running.add(child)
      let output = ''
      let isEndless = false
      const timer = setTimeout(() => {
        isEndless = true
        child.kill('SIGKILL')
      }, SILENCE_MAX_MS)
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text
          timer.refresh()
        })
      }
      await once(child, 'close')
      clearTimeout(timer)
      running.delete(child)
      return { fate: isEndless ? 'endless' : fateOf(report), output: lastLines(output) + failuresOf(report) }
    },
    [Symbol.dispose]() {
      process.removeListener('exit', close)
      close()
    },
  }
}

/** The part of the test runner's report that is read. */
interface Report {
  readonly success: boolean
  readonly numFailedTests: number
  readonly numPassedTests: number
  readonly testResults: readonly {
    readonly message: string
    readonly assertionResults: readonly { readonly fullName: string; readonly failureMessages?: readonly string[] }[]
  }[]
}

function reportIn(file: string): Report | null {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Report) : null
}

function fateOf(file: string): Fate {
  const report = reportIn(file)
  if (report === null) return 'broken'
  if (report.numFailedTests > 0) return 'died'
  return report.success && report.numPassedTests > 0 ? 'survived' : 'broken'
}

function failuresOf(file: string): string {
  const results = reportIn(file)?.testResults ?? []
  const lines = results.flatMap(({ message, assertionResults }) => [
    message,
    ...assertionResults.flatMap(({ fullName, failureMessages = [] }) =>
      failureMessages.map((m) => `${fullName}: ${m}`),
    ),
  ])
  return lines.filter((line) => line !== '').join('\n')
}

function lastLines(text: string): string {
  return text.split('\n').slice(-OUTPUT_LINES_MAX).join('\n')
}
