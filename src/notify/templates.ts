import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Liquid, type LiquidErrors } from 'liquidjs'
import { AppError } from '../core/error.ts'
import { MAIL_LANGUAGES, type MailLanguage } from '../core/mail/mail-language.ts'
import { builtInFolder, folderProblems, TEMPLATES, type TemplateName } from './template-files.ts'

/**
 * Templates of mails: Liquid files, one for the plain text, whose first line is the subject, and one for the HTML, in
 * which every value is escaped. A file in the configured folder replaces the built-in one of the same name.
 */

export interface Rendered {
  readonly subject: string
  readonly text: string
  readonly html: string
}

/** Plain data; every text in it is one line. */
export type TemplateData = Readonly<Record<string, unknown>>

const SUBJECT = /^Subject: (.+)$/
const SUBJECT_LENGTH_MAX = 200
const LINE_LENGTH_MAX = 76
const RENDER_MS_MAX = 10_000
const PARSE_CHARACTERS_MAX = 1_000_000
const MEMORY_UNITS_MAX = 10_000_000

export class Templates {
  readonly #folder: string | null
  readonly #engines = new Map<string, Liquid>()

  /** @param folder the folder of own templates; null: the built-in ones alone */
  constructor(folder: string | null) {
    this.#folder = folder
  }

  /** Fails with `config-invalid`, naming file, line and column of what is wrong with it. */
  render(name: TemplateName, language: MailLanguage, data: TemplateData): Rendered {
    const [first = '', ...lines] = this.#part(`${name}.txt`, language, data).split('\n')
    const subject = SUBJECT.exec(first.trimEnd())?.[1]?.trim()
    if (subject === undefined) {
      const hint = 'Begin the file with it, and leave the second line empty.'
      throw new AppError(
        'config-invalid',
        `${this.#fileOf(`${name}.txt`, language)}:1: the first line is "Subject: …"`,
        { hint },
      )
    }
    return {
      subject: subject.slice(0, SUBJECT_LENGTH_MAX),
      text: plainText(lines),
      html: this.#part(`${name}.html`, language, data),
    }
  }

  #part(file: string, language: MailLanguage, data: TemplateData): string {
    const engine = this.#engine(language, file.endsWith('.html'))
    try {
      return String(engine.renderFileSync(file, data))
    } catch (thrown) {
      throw templateError(thrown, this.#fileOf(file, language))
    }
  }

  /** The file in use for that name. */
  #fileOf(file: string, language: MailLanguage): string {
    const own = this.#folder === null ? null : join(this.#folder, language, file)
    return own !== null && existsSync(own) ? own : join(builtInFolder(), language, file)
  }

  #engine(language: MailLanguage, isHtml: boolean): Liquid {
    const key = `${language} ${isHtml}`
    const kept = this.#engines.get(key)
    if (kept !== undefined) return kept
    const folders = [this.#folder, builtInFolder()].flatMap((each) => (each === null ? [] : [join(each, language)]))
    const engine = new Liquid({
      root: folders,
      partials: folders,
      layouts: folders,
      relativeReference: false,
      cache: true,
      ownPropertyOnly: true,
      strictFilters: true,
      strictVariables: true,
      lenientIf: true,
      greedy: true,
      renderLimit: RENDER_MS_MAX,
      parseLimit: PARSE_CHARACTERS_MAX,
      memoryLimit: MEMORY_UNITS_MAX,
      ...(isHtml ? { outputEscape: 'escape' as const } : {}),
    })
    this.#engines.set(key, engine)
    return engine
  }
}

/** Lines of a width that every mail program shows, with at most one empty line in between. */
function plainText(lines: readonly string[]): string {
  const wrapped = lines.flatMap((line) => wrap(line.trimEnd()))
  return `${wrapped
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()}\n`
}

/** The rest of a long line continues below, at the indentation of its text. */
function wrap(line: string): string[] {
  const indent = /^ *(?:- )?/.exec(line)?.[0].length ?? 0
  const parts: string[] = []
  let rest = line
  while (rest.length > LINE_LENGTH_MAX) {
    const at = rest.lastIndexOf(' ', LINE_LENGTH_MAX)
    if (at <= indent) break
    parts.push(rest.slice(0, at))
    rest = `${' '.repeat(indent)}${rest.slice(at + 1)}`
  }
  return [...parts, rest]
}

function templateError(thrown: unknown, file: string): AppError {
  const error = thrown as LiquidErrors & { originalError?: Error }
  const token = error.token as { file?: string; getPosition?: () => number[] } | undefined
  const [line, column] = token?.getPosition?.() ?? []
  const place = [token?.file ?? file, line, column].filter((part) => part !== undefined).join(':')
  const message = (error.originalError?.message ?? error.message).split('\n')[0]?.replace(/, file:.*$/, '') ?? ''
  return new AppError('config-invalid', `${place}: ${message}`, {
    cause: thrown,
    hint: 'Correct the template, or remove it: the built-in one is then used.',
  })
}

/** A mistake in own templates. */
export interface TemplateProblem {
  readonly severity: 'error' | 'warning'
  readonly message: string
}

/**
 * Every mistake in a folder of templates that can be found without a mail: unused files, unreadable files, and
 * templates that fail with any of the samples.
 */
export function templateProblems(
  folder: string,
  samples: (name: TemplateName, language: MailLanguage) => readonly TemplateData[],
): TemplateProblem[] {
  const found: TemplateProblem[] = folderProblems(folder).map(({ file, what }) => ({
    severity: file === folder ? 'error' : 'warning',
    message: `${file}: ${what}`,
  }))
  if (found.some(({ severity }) => severity === 'error')) return found
  const templates = new Templates(folder)
  const seen = new Set<string>()
  for (const language of MAIL_LANGUAGES) {
    for (const name of TEMPLATES) {
      for (const data of samples(name, language)) {
        try {
          templates.render(name, language, data)
        } catch (thrown) {
          if (!(thrown instanceof AppError)) throw thrown
          if (seen.has(thrown.message)) continue
          seen.add(thrown.message)
          found.push({ severity: 'error', message: thrown.message })
        }
      }
    }
  }
  return found
}
