import { fileURLToPath } from 'node:url'
import { runToolOk } from '../test/servers/run-tool.ts'

const SCRIPT = fileURLToPath(new URL('time-runs.sh', import.meta.url))

/**
 * Runs two commands in turns, each started by a shell and waited for.
 * @returns the wall times of the first and of the second, in milliseconds
 */
export async function timeInTurns(
  rounds: number,
  first: readonly string[],
  second: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<readonly [first: readonly number[], second: readonly number[]]> {
  const { stdout } = await runToolOk(SCRIPT, [String(rounds), ...first, '--', ...second], { env })
  const lines = stdout.trim().split('\n')
  const column = (at: number): number[] => lines.map((line) => Number(line.split(' ')[at]) / 1000)
  if (lines.length !== rounds) throw new Error(`${lines.length} of ${rounds} rounds were timed`)
  return [column(0), column(1)]
}
