import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { dseLdif, firstLdif, IPA_SCHEMA, type Layout } from './ds389-files.ts'
import { runTool, runToolOk } from '../run-tool.ts'
import { makeCertificates } from '../test-certificates.ts'

/**
 * An instance of 389-DS made by hand (`dscreate` needs systemd), with its users imported and its certificates made. Made once a
 * layout, kept in the cache of the tests, and copied for each server: an import takes seconds, a copy a tenth.
 */

export const NS_SLAPD = '/usr/sbin/ns-slapd'
export const MISSING =
  '389-DS is not installed; install it with: apt-get install -y --no-install-recommends 389-ds-base libnss3-tools'
const DATA = '/usr/share/dirsrv/data'
/** Its certificates are good for 30 days. */
const TEMPLATE_AGE_MAX_MS = 14 * 86_400_000
const IMPORT_TIMEOUT_MS = 120_000
const FOLDERS = ['run', 'lock', 'log', 'etc/schema', 'db', 'ldif', 'bak', 'tmp', 'inst']
/** Change it where the files below change and ds389-files.ts does not. */
const FORM = 1

/** @returns the folder of the template; never start it where it lies */
export async function templateOf(layout: Layout): Promise<string> {
  const cache =
    process.env['LOCKSTEP_TEST_CACHE'] ??
    join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'lockstep-tests')
  // It ends with 1 however it is asked for its version.
  const { stdout: version } = await runTool(NS_SLAPD, ['-v'], { missing: MISSING })
  const dse = dseLdif(await packaged(), '', userInfo().username)
  const words = [FORM, version, userInfo().username, dse, firstLdif(layout), IPA_SCHEMA].join('\0')
  const key = createHash('sha256').update(words).digest('hex').slice(0, 16)
  const path = join(cache, `ds389-${layout}-${key}`)
  if (await isYoung(path)) return path
  await mkdir(cache, { recursive: true })
  const built = await mkdtemp(join(cache, '.ds389-'))
  try {
    await build(built, layout)
    return await put(built, path)
  } finally {
    await rm(built, { recursive: true, force: true })
  }
}

async function isYoung(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => null)
  return info !== null && Date.now() - info.mtimeMs < TEMPLATE_AGE_MAX_MS
}

/** Another process may have made the same one meanwhile; then that one is taken. */
async function put(built: string, path: string): Promise<string> {
  await writeFile(join(built, 'made-at'), built)
  if (!(await isYoung(path))) await rm(path, { recursive: true, force: true })
  try {
    await rename(built, path)
  } catch (error) {
    if (!(await isYoung(path))) throw error
  }
  return path
}

async function packaged(): Promise<{ dse: string; suffix: string }> {
  const read = (name: string) =>
    readFile(join(DATA, name), 'utf8').catch((cause: unknown) => {
      throw new Error(MISSING, { cause })
    })
  return { dse: await read('template-dse.ldif'), suffix: await read('template-suffix-db.ldif') }
}

async function build(dir: string, layout: Layout): Promise<void> {
  for (const folder of FOLDERS) await mkdir(join(dir, folder), { recursive: true })
  const etc = join(dir, 'etc')
  // An ordinary user may not read these of /etc/dirsrv; a start without them fails.
  await writeFile(join(etc, 'certmap.conf'), 'certmap default default\n')
  await writeFile(join(etc, 'slapd-collations.conf'), '')
  const own = 'dn: cn=schema\nobjectClass: top\nobjectClass: ldapSubentry\nobjectClass: subschema\ncn: schema\n'
  await writeFile(join(etc, 'schema', '99user.ldif'), own)
  if (layout === 'freeipa') {
    await writeFile(join(etc, 'schema', '90ipa.ldif'), IPA_SCHEMA)
    await cp(join(DATA, '60kerberos.ldif'), join(etc, 'schema', '60kerberos.ldif'))
  }
  await writeFile(join(etc, 'dse.ldif'), dseLdif(await packaged(), dir, userInfo().username))
  await makeTls(dir)
  const ldif = join(dir, 'ldif', 'first.ldif')
  await writeFile(ldif, firstLdif(layout))
  const args = ['ldif2db', '-D', etc, '-n', 'userRoot', '-i', ldif]
  await runToolOk(NS_SLAPD, args, { missing: MISSING, timeoutMs: IMPORT_TIMEOUT_MS })
}

/** A certification authority, and the server's certificate in a database of NSS without a password. */
async function makeTls(dir: string): Promise<void> {
  const etc = join(dir, 'etc')
  const tls = join(dir, 'tls')
  await mkdir(tls)
  const { caFile, certFile, keyFile } = await makeCertificates(tls)
  const p12 = join(tls, 'server.p12')
  await runToolOk('openssl', [
    'pkcs12',
    '-export',
    '-in',
    certFile,
    '-inkey',
    keyFile,
    '-name',
    'Server-Cert',
    '-passout',
    'pass:',
    '-out',
    p12,
  ])
  await runToolOk('certutil', ['-N', '-d', `sql:${etc}`, '--empty-password'], { missing: MISSING })
  await runToolOk('pk12util', ['-i', p12, '-d', `sql:${etc}`, '-W', '', '-K', ''], { missing: MISSING })
  await runToolOk('certutil', ['-A', '-d', `sql:${etc}`, '-n', 'Test CA', '-t', 'CT,,', '-a', '-i', caFile])
}
