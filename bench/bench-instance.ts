import { join } from 'node:path'
import { createInstance, type Instance } from '../demo/instance.ts'
import type { Slapd } from '../test/servers/ldap/slapd.ts'
import type { Workshop } from './scale.ts'

/**
 * A Lockstep for the benchmark. Spool, LDIF folders and store lie apart, as /var/spool and /var/lib do: files that are
 * deleted in the spool do not slow down those that are made elsewhere (see spreadFolders).
 */
export async function createBenchInstance(
  workshop: Workshop,
  name: string,
  slapd: Slapd,
  extraConfig = '',
  realm?: string,
): Promise<Instance> {
  return createInstance(await workshop.folder(name), slapd, {
    spoolDir: join(await workshop.folder(`${name}-spool`), 'spool'),
    ldifDir: join(await workshop.folder(`${name}-ldif`), 'ldif'),
    extraConfig,
    ...(realm === undefined ? {} : { realm }),
  })
}
