import { STORE_SCHEMA } from '../../store/schema/migrations.ts'

/** The versions of this program and its platform. */
export interface Versions {
  readonly lockstep: string
  readonly node: string
  readonly openssl: string
  readonly sqlite: string
  readonly v8: string
  /** Of the stores that it writes. A store from a newer version is refused, an older one is migrated. */
  readonly storeSchema: number
  /** Operating system and processor: `linux x64`. */
  readonly platform: string
}

export function versionsOf(lockstep: string): Versions {
  const { node, openssl, sqlite = '-', v8 } = process.versions
  const platform = `${process.platform} ${process.arch}`
  return { lockstep, node, openssl, sqlite, v8, storeSchema: STORE_SCHEMA, platform }
}
