import { Command, CommanderError } from 'commander'
import { toAppError, type AppError } from '../core/error.ts'
import { COMMANDS } from './commands.ts'
import { EXIT, exitOf } from './exit.ts'
import type { CliIo } from './io.ts'
import { painter } from './output.ts'
import { VERSION } from './version.ts'

/**
 * Runs the command line and gives its exit code. `argv` is without the program's name. A command is a file of
 * `commands/`: `register(program, io)` describes it, cheaply; its action imports what it needs when it runs.
 */
export async function main(argv: readonly string[], io: CliIo): Promise<number> {
  surviveClosedPipe(io)
  try {
    const program = buildProgram(io)
    await program.parseAsync(argv, { from: 'user' })
    return io.exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    const known = toAppError(error)
    reportError(io, known, error)
    return exitOf(known.code)
  }
}

export function buildProgram(io: CliIo): Command {
  const program = new Command('lockstep')
    .description('Keeps directory accounts in step with privacyIDEA tokens.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .option(
      '--config <file>',
      'configuration file (else LOCKSTEP_CONFIG, ./lockstep.yaml, /etc/lockstep/lockstep.yaml)',
    )
    .configureHelp({ sortOptions: false, showGlobalOptions: true })
    .showHelpAfterError('Run it with --help for what it takes.')
    .showSuggestionAfterError(true)
  for (const register of COMMANDS) register(program, io)
  settle(program, io)
  return program
}

/** Subcommands made with `command()` copy these settings only when they are set first; this sets them on all. */
function settle(command: Command, io: CliIo): void {
  command.exitOverride()
  command.configureOutput({
    writeOut: (text) => void io.stdout.write(text),
    writeErr: (text) => void io.stderr.write(text),
    outputError: (text, write) => write(text.replace(/^error: /, 'lockstep: ')),
  })
  command.showHelpAfterError(`Run "${fullName(command)} --help" for what it takes.`)
  for (const child of command.commands) settle(child, io)
}

function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`
}

/** One message and the next step; the stack only with LOCKSTEP_DEBUG. */
export function reportError(io: CliIo, error: AppError, thrown: unknown): void {
  const paint = painter(io, io.stderr)
  const lines = [`${paint('red', 'lockstep:')} ${error.message}`]
  const hint =
    error.code === 'internal' ? 'This is a fault of Lockstep itself; LOCKSTEP_DEBUG=1 shows where.' : error.hint
  if (hint !== '') lines.push(`  ${hint}`)
  if ((io.env['LOCKSTEP_DEBUG'] ?? '') !== '' && thrown instanceof Error) lines.push(thrown.stack ?? '')
  io.stderr.write(`${lines.join('\n')}\n`)
}

/** `lockstep … | head` closes the pipe early: that is no failure of ours. */
function surviveClosedPipe(io: CliIo): void {
  for (const stream of [io.stdout, io.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
}
