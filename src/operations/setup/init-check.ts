import { fileTroubles } from '../../config/named-files.ts'
import { ConfigError } from '../../config/problem.ts'
import { AppError } from '../../core/error.ts'
import type { InitRequest } from './init-template.ts'
import { settingsOf } from './init.ts'

/** Checks of the answers of `lockstep init` without a server; messages name the options. */

/** An answer by its option, also where the answer came from a prompt. */
export interface AnswerProblem {
  readonly flag: string
  readonly message: string
  /** '' where the message has it. */
  readonly fix: string
}

/** By the key of the configuration that an answer is written to; the first match counts. */
const FLAG_OF_KEY: readonly (readonly [key: RegExp, flag: string])[] = [
  [/^directories\.[^.]+\.urls/, '--url'],
  [/^directories\.[^.]+\.type/, '--type'],
  [/^directories\.[^.]+\.startTls/, '--start-tls'],
  [/^directories\.[^.]+\.ca$/, '--ca'],
  [/^directories\.[^.]+\.bindDn/, '--bind-dn'],
  [/^directories\.[^.]+\.bindPassword/, '--bind-password-file'],
  [/^directories\.[^.]+\.base/, '--base'],
  [/^directories\.[^.]+\.(?:userFilter|loginAttribute)/, '--user-filter'],
  [/^directories\.[^.]+\.serialAttribute/, '--serial-attribute'],
  [/^directories\.[^.]+\.serialFormat/, '--serial-format'],
  [/^directories/, '--name'],
  [/^realms/, '--realm'],
  [/^intake\.http/, '--http'],
  [/^(?:store|ldif|intake)/, '--state-dir'],
]

/** Fails with `config-invalid`, and names every wrong option. */
export function refuseBadAnswers(request: InitRequest): void {
  const problems = answerProblems(request)
  const [first] = problems
  if (first === undefined) return
  const lines = problems.map(({ flag, message }) => `${flag}: ${message}`)
  const message = problems.length === 1 ? lines[0] : ['several answers are wrong:', ...lines].join('\n  ')
  throw new AppError('config-invalid', message ?? '', {
    hint: first.fix || 'Correct it and try again; nothing was written.',
  })
}

/** Empty without problems, as far as this machine can check. */
export function answerProblems(request: InitRequest): AnswerProblem[] {
  try {
    const troubles = fileTroubles(settingsOf(request), {}).filter(({ severity, key }) => {
      return severity === 'error' && !isYetToBeWritten(key, request)
    })
    return troubles.map(({ key, what, fix }) => ({ flag: flagOf(key), message: what, fix }))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ key, message }) => ({ flag: flagOf(key), message, fix: '' }))
  }
}

/** The secrets that init itself writes do not exist yet. */
function isYetToBeWritten(key: string, request: InitRequest): boolean {
  return key.startsWith('intake.http') || ('text' in request.bindPassword && key.endsWith('.bindPasswordFile'))
}

function flagOf(key: string): string {
  return FLAG_OF_KEY.find(([pattern]) => pattern.test(key))?.[1] ?? key
}
