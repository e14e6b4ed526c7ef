import { AppError } from '../core/error.ts'

/** One mistake or warning about the configuration. Never holds a secret. */
export interface Problem {
  readonly severity: 'error' | 'warning'
  /** From 1; 0 where it is about the file as a whole. */
  readonly line: number
  readonly column: number
  /** `directories.corp.urls[0]`; '' for the file as a whole. */
  readonly key: string
  /** What is wrong and what to do, on one line. */
  readonly message: string
}

/** Problems shown in one error text at most; `lockstep check --json` gives all. */
const SHOWN_MAX = 20

/** Code `config-invalid`, with every problem that was found, in the order of the file. */
export class ConfigError extends AppError {
  readonly problems: readonly Problem[]

  /** @param what the problems are about */
  constructor(file: string, problems: readonly Problem[], what = 'the configuration') {
    const count = problems.length === 1 ? 'a mistake' : `${problems.length} mistakes`
    const lines = problems.slice(0, SHOWN_MAX).map((problem) => `  ${showProblem(file, problem)}`)
    const more = problems.length > SHOWN_MAX ? [`  … and ${problems.length - SHOWN_MAX} more`] : []
    super('config-invalid', [`${what} has ${count}:`, ...lines, ...more].join('\n'), {
      hint:
        what === 'the configuration'
          ? 'Correct this and try again; "lockstep check" looks at the file alone.'
          : 'Correct this and try again.',
    })
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** `FILE:LINE:COLUMN: KEY: MESSAGE`, as editors and terminals make clickable. */
export function showProblem(file: string, problem: Problem): string {
  const place = problem.line === 0 ? file : `${file}:${problem.line}:${problem.column}`
  return problem.key === '' ? `${place}: ${problem.message}` : `${place}: ${problem.key}: ${problem.message}`
}

/** `['directories', 'corp', 'urls', 0]` to `directories.corp.urls[0]`. */
export function showPath(path: readonly PropertyKey[]): string {
  let shown = ''
  for (const part of path) {
    if (typeof part === 'number') shown += `[${part}]`
    else shown += shown === '' ? String(part) : `.${String(part)}`
  }
  return shown
}
