import { parseSerial, type HoldName, type Serial } from '../names.ts'

/**
 * The identity of a token's serial, whatever its spelling. privacyIDEA runs mostly on MySQL and MariaDB, which compare
 * without case, and passes the spelling of the request on: `alice1` and `ALICE1` are one token there. A serial is
 * ASCII, so that folding its case is all. Serials are compared, looked up and counted by their key; a `Serial` keeps
 * the spelling that is written and shown. The same in SQL is `lower(serial)` (store/rows/serial-column.ts).
 *
 * On SQLite and PostgreSQL two tokens may differ by case only. Where they are known to be two, they keep their own
 * spelling each: see serial-spelling.ts, and adr/0021.
 */
export type SerialKey = string & { readonly __brand: 'SerialKey' }

export function serialKey(serial: Serial): SerialKey {
  return serial.toLowerCase() as SerialKey
}

export function isSameSerial(a: Serial, b: Serial): boolean {
  return a === b || serialKey(a) === serialKey(b)
}

/** The spelling among these: exactly this one, else one that differs by case only; null: none. */
export function spelledAmong(serials: readonly Serial[], serial: Serial): Serial | null {
  if (serials.includes(serial)) return serial
  return serials.find((each) => isSameSerial(each, serial)) ?? null
}

/** A hold's name as its LDIF files are found: the name of a token's hold is its serial, all others are in lower case. */
export type HoldKey = string & { readonly __brand: 'HoldKey' }

export function holdKey(name: HoldName): HoldKey {
  return name.toLowerCase() as HoldKey
}

/** The token that a hold is named for; null for a hold of another kind. */
export function serialOfHold(name: HoldName): Serial | null {
  return parseSerial(name)
}
