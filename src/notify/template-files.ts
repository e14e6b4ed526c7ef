import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MAIL_LANGUAGES, type MailLanguage } from '../core/mail/mail-language.ts'

/** The places of the templates of mails. */

export const TEMPLATES = ['locked', 'unlocked', 'news', 'help-desk', 'new-token', 'test'] as const
export type TemplateName = (typeof TEMPLATES)[number]

/** Further files that templates are made of. */
const PARTS = ['layout.html', 'title.txt', 'advice.txt', 'cause.txt', 'why.txt']

export const TEMPLATE_FILES: readonly string[] = [
  ...TEMPLATES.flatMap((name) => [`${name}.txt`, `${name}.html`]),
  ...PARTS,
]

/** A template is at most so large. */
export const TEMPLATE_BYTES_MAX = 256 * 1024

/** Beside the bundle, or in the checkout's folder of sources. */
export function builtInFolder(): string {
  const near = fileURLToPath(new URL('templates/mail', import.meta.url))
  return existsSync(near) ? near : fileURLToPath(new URL('../../templates/mail', import.meta.url))
}

export interface FolderProblem {
  readonly file: string
  readonly what: string
}

/** Problems of a folder with own templates that its file names show. */
export function folderProblems(folder: string): FolderProblem[] {
  const info = statSync(folder, { throwIfNoEntry: false })
  if (info?.isDirectory() !== true) {
    return [{ file: folder, what: info === undefined ? 'it does not exist' : 'it is no folder' }]
  }
  return readdirSync(folder).flatMap((name) => {
    const language = MAIL_LANGUAGES.find((each) => each === name)
    if (language === undefined) {
      return [{ file: join(folder, name), what: `it is not used; templates lie in ${MAIL_LANGUAGES.join('/ and ')}/` }]
    }
    return languageProblems(folder, language)
  })
}

function languageProblems(folder: string, language: MailLanguage): FolderProblem[] {
  const names = readdirSync(join(folder, language))
  return names.flatMap((name) => {
    const file = join(folder, language, name)
    if (!TEMPLATE_FILES.includes(name)) {
      return [{ file, what: `it is not used; templates are called ${TEMPLATE_FILES.join(', ')}` }]
    }
    const size = statSync(file).size
    return size > TEMPLATE_BYTES_MAX ? [{ file, what: `it is larger than ${TEMPLATE_BYTES_MAX / 1024} KiB` }] : []
  })
}
