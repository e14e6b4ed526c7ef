import { sql, type RawBuilder } from 'kysely'
import { parseSerial } from '../../core/names.ts'
import { serialKey, type SerialKey } from '../../core/serials/serial-key.ts'

/**
 * A column of serials as its key (core/serials/serial-key.ts): the indexes hold this expression, so that a row is found in any
 * spelling. Serials are ASCII, which `lower` folds alike in every database.
 */
export function keyColumn(column: string): RawBuilder<SerialKey> {
  return sql<SerialKey>`lower(${sql.ref(column)})`
}

/** The keys of rows' serials, each once; what is no serial has none. */
export function keysOfRows(rows: readonly { readonly serial: string | null }[]): SerialKey[] {
  const keys = new Set<SerialKey>()
  for (const row of rows) {
    const serial = parseSerial(row.serial ?? '')
    if (serial !== null) keys.add(serialKey(serial))
  }
  return [...keys]
}
