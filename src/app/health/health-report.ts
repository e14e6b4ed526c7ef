import { createHash } from 'node:crypto'
import { chmodSync, closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { parseHealthReport, type HealthReport } from '../../core/health/health-file.ts'
import { toAppError, type AppError } from '../../core/error.ts'

export { pidNamespace } from '../../store/engine/process-owner.ts'

/** The health file on disk: replaced as a whole, readable by everybody. */

const MODE = 0o644
const BYTES_MAX = 64 * 1024
const MARK_DIGITS = 12

/** Null: it is not there, cannot be read, or is none of ours. */
export function readHealthReport(file: string): HealthReport | null {
  try {
    return takeHealthReport(file)
  } catch {
    return null
  }
}

/** Null: it is none of ours. Throws the system's error where it is not there, or may not be read. */
export function takeHealthReport(file: string): HealthReport | null {
  return statSync(file).size > BYTES_MAX ? null : parseHealthReport(readFileSync(file, 'utf8'))
}

/** @returns why it could not be written; null: it was */
export function writeHealthReport(file: string, report: HealthReport): AppError | null {
  const temporary = `${file}.${process.pid}.new`
  try {
    rmSync(temporary, { force: true })
    const descriptor = openSync(temporary, 'wx', MODE)
    try {
      writeSync(descriptor, `${JSON.stringify(report)}\n`)
    } finally {
      closeSync(descriptor)
    }
    // With any umask.
    chmodSync(temporary, MODE)
    renameSync(temporary, file)
    return null
  } catch (thrown) {
    rmSync(temporary, { force: true })
    return toAppError(thrown)
  }
}

/** Identifies the store, and does not reveal its path. */
export function storeMark(file: string): string {
  return createHash('sha256').update(file).digest('hex').slice(0, MARK_DIGITS)
}
