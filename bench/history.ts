import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import type { BenchRecord } from './record.ts'

const FOLDER = fileURLToPath(new URL('history/', import.meta.url))

/** The runs that are kept. */
export function readHistory(): BenchRecord[] {
  const names = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.json')) : []
  return names.map((name) => JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as BenchRecord)
}

/** Writes its file, in place of one of the same name. @returns the path */
export function writeToHistory(fileName: string, record: BenchRecord): string {
  mkdirSync(FOLDER, { recursive: true })
  const path = join(FOLDER, fileName)
  writeFileSync(path, `${JSON.stringify(record, null, 2)}\n`)
  return path
}
