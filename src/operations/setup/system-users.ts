import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const TIMEOUT_MS = 5_000

/**
 * Entries of the system's databases, LDAP included, each in its fields; none where there is no such one, or it cannot be asked.
 * @param name null: all of them
 */
export async function lookUp(database: 'passwd' | 'group', name: string | null): Promise<string[][]> {
  try {
    const args = ['--', database, ...(name === null ? [] : [name])]
    const { stdout } = await promisify(execFile)('getent', args, { timeout: TIMEOUT_MS })
    return stdout.split('\n').flatMap((line) => (line === '' ? [] : [line.split(':')]))
  } catch {
    return []
  }
}
