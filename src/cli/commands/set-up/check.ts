import { counted } from '../../../core/format/counted.ts'
import type { Command } from 'commander'
import type { Problem } from '../../../config/problem.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { print, printData } from '../../terminal/output.ts'
import { configFlag } from '../../process/settings.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('check')
    .description('check the configuration file, and the files of secrets and templates that it names')
    .option('--explain', 'also list each file that it names, whose it is, and which modes are good')
    .option('--json', 'print the result as JSON')
    .action(async (options: { explain?: boolean; json?: boolean }, command: Command) => {
      const { checkConfig } = await import('../../../config/check.ts')
      const { showProblem } = await import('../../../config/problem.ts')
      const lookup = { flag: configFlag(command), env: io.env, cwd: io.cwd }
      const checked = checkConfig(lookup)
      const { checkTemplates } = await import('../../../daemon/reload/check-templates.ts')
      const { file } = checked
      const problems = [...checked.problems, ...(await checkTemplates(checked, lookup))]
      const errors = problems.filter((problem) => problem.severity === 'error').length
      io.exitCode = errors > 0 ? EXIT.config : EXIT.ok
      const files =
        options.explain === true ? (await import('../../../config/explain-files.ts')).explainFiles(lookup) : null
      if (options.json === true) {
        const message = verdict(file, errors, problems.length - errors)
        const trouble = { code: 'has-findings', message, hint: 'problems names line and key of each.' } as const
        printData(io, { file, problems, files }, errors === 0 ? null : trouble)
        return
      }
      for (const problem of problems) print(io, line(problem, showProblem(file, problem)))
      for (const { key, place, state, good } of files ?? []) print(io, `${key}: ${place} (${state}); good: ${good}`)
      print(io, verdict(file, errors, problems.length - errors))
    })
}

function line(problem: Problem, shown: string): string {
  return problem.severity === 'warning' ? `${shown} (warning)` : shown
}

function verdict(file: string, errors: number, warnings: number): string {
  const warned = warnings === 0 ? '' : `, ${counted(warnings, 'warning')}`
  if (errors === 0) return `${file} is good${warned}. Next: lockstep doctor`
  return `${file} has ${counted(errors, 'mistake')}${warned}`
}
