import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TokenEventKind } from '../src/core/events/event.ts'
import { runToolOk } from '../test/servers/run-tool.ts'
import type { Slapd } from '../test/servers/ldap/slapd.ts'
import { eventWords } from './accounts.ts'

const FOLDER = fileURLToPath(new URL('baseline/', import.meta.url))

/** The four shell scripts that do Lockstep's job with ldapsearch and ldapmodify, ready to be run. */
export interface Baseline {
  readonly env: Readonly<Record<string, string>>
  scriptOf(kind: TokenEventKind): string
  /** Runs a script for account number `index`, as privacyIDEA would. */
  run(kind: TokenEventKind, index: number): Promise<void>
}

export async function createBaseline(dir: string, slapd: Slapd): Promise<Baseline> {
  await mkdir(dir, { recursive: true })
  const passwordFile = join(dir, 'password')
  await writeFile(passwordFile, slapd.servicePassword, { mode: 0o600 })
  const env = {
    LDAP_URL: slapd.url,
    LDAP_BIND_DN: slapd.serviceDn,
    LDAP_PASSWORD_FILE: passwordFile,
    LDAP_BASE: slapd.peopleDn,
    LDIF_DIR: join(dir, 'ldif'),
  }
  const scriptOf = (kind: TokenEventKind): string => join(FOLDER, `${kind}.sh`)
  return {
    env,
    scriptOf,
    run: async (kind, index) => {
      await runToolOk(scriptOf(kind), eventWords(index), { env })
    },
  }
}
