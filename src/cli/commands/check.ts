import type { Command } from 'commander'
import type { Problem } from '../../config/problem.ts'
import { EXIT } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { print, printJson } from '../output.ts'
import { configFlag } from '../settings.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('check')
    .description('check the configuration file, and the files of secrets and templates that it names')
    .option('--json', 'print the result as JSON')
    .action(async (options: { json?: boolean }, command: Command) => {
      const { checkConfig } = await import('../../config/check.ts')
      const { showProblem } = await import('../../config/problem.ts')
      const lookup = { flag: configFlag(command), env: io.env, cwd: io.cwd }
      const checked = checkConfig(lookup)
      const { checkTemplates } = await import('../../daemon/check-templates.ts')
      const { file } = checked
      const problems = [...checked.problems, ...(await checkTemplates(checked, lookup))]
      const errors = problems.filter((problem) => problem.severity === 'error').length
      io.exitCode = errors > 0 ? EXIT.config : EXIT.ok
      if (options.json === true) {
        printJson(io, { file, ok: errors === 0, problems })
        return
      }
      for (const problem of problems) print(io, line(problem, showProblem(file, problem)))
      print(io, verdict(file, errors, problems.length - errors))
    })
}

function line(problem: Problem, shown: string): string {
  return problem.severity === 'warning' ? `${shown} (warning)` : shown
}

function verdict(file: string, errors: number, warnings: number): string {
  const warned = warnings === 0 ? '' : `, ${warnings} warning${warnings === 1 ? '' : 's'}`
  if (errors === 0) return `${file} is good${warned}. Next: lockstep doctor`
  return `${file} has ${errors} mistake${errors === 1 ? '' : 's'}${warned}`
}
