import type { CheckResult } from '../../config/check.ts'
import { loadConfig, type ConfigLookup } from '../../config/load.ts'
import type { Problem } from '../../config/problem.ts'
import type { Settings } from '../../core/settings/settings.ts'

/**
 * Mistakes in templates of mails that the configuration names, for `lockstep check`. None where the configuration
 * cannot be read.
 */
export async function checkTemplates(checked: CheckResult, lookup: ConfigLookup): Promise<Problem[]> {
  if (checked.problems.some(({ severity, line }) => severity === 'error' && line > 0)) return []
  return settingsTemplateProblems(loadConfig({ ...lookup, flag: checked.file }).settings)
}

export async function settingsTemplateProblems({ mail }: Pick<Settings, 'mail'>): Promise<Problem[]> {
  const templates = mail?.templates ?? null
  if (templates === null) return []
  const { templateProblems } = await import('../../notify/templates.ts')
  const { samplesFor } = await import('../../notify/mail-samples.ts')
  return templateProblems(templates, samplesFor).map(({ severity, message }) => {
    return { severity, line: 0, column: 0, key: 'mail.templates', message }
  })
}
