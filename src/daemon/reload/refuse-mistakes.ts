import { badFiles } from '../../config/check.ts'
import type { FileTrouble } from '../../config/named-files.ts'
import { ConfigError } from '../../config/problem.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { settingsTemplateProblems } from './check-templates.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * What `check`, `init` and `doctor` call a mistake keeps a daemon, a drain and a reload from working with it as well: secrets
 * and certificates that are missing, of no use or open to others, and templates that are none. Fails with `config-invalid`.
 */
export async function refuseMistakes(settings: Settings, env: Environment): Promise<void> {
  await refuse(settings, env, () => false)
}

/**
 * As refuseMistakes, at a start: what is missing for mail alone holds up no lock. Mails wait, and the reason is in `status`.
 */
export async function refuseMistakesAtStart(settings: Settings, env: Environment): Promise<void> {
  await refuse(settings, env, ({ key, isMissing }) => isMissing && key.startsWith('mail.'))
}

async function refuse(settings: Settings, env: Environment, mayWait: (trouble: FileTrouble) => boolean): Promise<void> {
  const templates = (await settingsTemplateProblems(settings)).filter(({ severity }) => severity === 'error')
  const errors = [...badFiles(settings, env, mayWait), ...templates]
  if (errors.length > 0) throw new ConfigError(settings.file, errors)
}
