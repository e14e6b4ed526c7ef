import { badFiles } from '../../config/check.ts'
import type { FileTrouble } from '../../config/named-files.ts'
import { ConfigError } from '../../config/problem.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { settingsTemplateProblems } from './check-templates.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Mistakes in the sense of `check`, `init` and `doctor` also stop a start of a daemon, a drain and a reload: secrets
 * and certificates that are missing, unusable or open to others, and invalid templates. Fails with `config-invalid`.
 */
export async function refuseMistakes(settings: Settings, env: Environment): Promise<void> {
  await refuse(settings, env, () => false)
}

/**
 * As refuseMistakes, at a start: mistakes that concern mail alone stop no lock. Mails wait, and the reason is in
 * `status`.
 */
export async function refuseMistakesAtStart(settings: Settings, env: Environment): Promise<void> {
  await refuse(settings, env, ({ key, isMissing }) => isMissing && key.startsWith('mail.'))
}

async function refuse(settings: Settings, env: Environment, mayWait: (trouble: FileTrouble) => boolean): Promise<void> {
  const templates = (await settingsTemplateProblems(settings)).filter(({ severity }) => severity === 'error')
  const errors = [...badFiles(settings, env, mayWait), ...templates]
  if (errors.length > 0) throw new ConfigError(settings.file, errors)
}
