import type { Command } from 'commander'
import { withAdminOptions } from '../../process/admin-options.ts'
import type { CliIo } from '../../terminal/io.ts'
import type { RecipeOptions } from '../../flows/recipes.ts'

export function register(program: Command, io: CliIo): void {
  const group = program
    .command('recipes')
    .description('event handlers for privacyIDEA that have proven useful, and recipes of your own')
  withAdminOptions(
    group
      .command('list', { isDefault: true })
      .description('list the recipes; with --user also what of them is in privacyIDEA')
      .option('--json', 'print the result as JSON'),
    'nobody: privacyIDEA is not asked',
  ).action(async (options: RecipeOptions, command: Command) => {
    const { listRecipes } = await import('../../flows/recipes.ts')
    await listRecipes(options, command, io)
  })
  group
    .command('show')
    .argument('<name>', 'the recipe')
    .description('what a recipe is for, its risk, its parameters and its handlers')
    .option('--yaml', 'print the file as it is, to make one of your own of it')
    .option('--json', 'print it as JSON')
    .action(async (name: string, options: { yaml?: boolean; json?: boolean }, command: Command) => {
      const { showRecipe } = await import('../../flows/recipes.ts')
      await showRecipe(name, options, command, io)
    })
  changing(group.command('apply'), 'create or update the handlers of a recipe, after showing what would change')
    .option('--set <name=value>', 'a parameter (again for each)', gather, [])
    .option('--set-file <name=file>', 'a parameter whose value is a secret: the file that holds it', gather, [])
    .option('--hook-url <url>', 'where privacyIDEA reaches the webhook of Lockstep (else intake.http.listen)')
    .action(async (name: string, options: RecipeOptions, command: Command) => {
      const { applyRecipe } = await import('../../flows/recipes.ts')
      await applyRecipe(name, options, command, io)
    })
  changing(group.command('remove'), 'take exactly the handlers of a recipe away').action(
    async (name: string, options: RecipeOptions, command: Command) => {
      const { removeRecipe } = await import('../../flows/recipes.ts')
      await removeRecipe(name, options, command, io)
    },
  )
}

function changing(command: Command, description: string): Command {
  return withAdminOptions(
    command
      .argument('<name>', 'the recipe')
      .description(description)
      .option('--dry-run', 'show what would change, and change nothing')
      .option('--yes', 'do not ask'),
  ).option('--json', 'print the result as JSON')
}

function gather(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}
