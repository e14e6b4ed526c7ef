import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runToolOk } from './run-tool.ts'

export interface TestCertificates {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

const OPENSSL_MISSING = 'openssl is not installed; install it with: apt-get install -y --no-install-recommends openssl'

/**
 * A certification authority of its own and a server certificate.
 * `good` is for `moreNames` (as in `IP:127.1.2.3`), localhost, 127.0.0.1 and 0.0.0.0; `wrong-name` for another host; `expired` ended in 2021.
 */
export async function makeCertificates(
  dir: string,
  kind: 'good' | 'wrong-name' | 'expired' = 'good',
  moreNames: readonly string[] = [],
): Promise<TestCertificates> {
  const openssl = (...args: string[]) => runToolOk('openssl', args, { cwd: dir, missing: OPENSSL_MISSING })
  await Promise.all([
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'ca.key'),
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'server.key'),
  ])
  const usage = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign']
  await openssl(...'req -x509 -new -key ca.key -days 3650 -out ca.pem -subj'.split(' '), '/CN=Test CA', ...usage)
  await openssl(...'req -new -key server.key -out server.csr -subj'.split(' '), '/CN=localhost')
  const own = ['DNS:localhost', 'IP:127.0.0.1', 'IP:0.0.0.0', 'DNS:ldap.example.org', ...moreNames]
  const names = kind === 'wrong-name' ? 'DNS:elsewhere.example.org' : own.join(',')
  const extensions = `subjectAltName=${names}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n`
  await writeFile(join(dir, 'server.ext'), extensions)
  if (kind === 'expired') await signExpired(dir, openssl)
  else {
    const sign = 'x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out server.pem -extfile'
    await openssl(...sign.split(' '), 'server.ext')
  }
  return {
    caFile: join(dir, 'ca.pem'),
    certFile: join(dir, 'server.pem'),
    keyFile: join(dir, 'server.key'),
  }
}

/** `openssl ca` is the one command that takes the dates of a certificate in every version. */
async function signExpired(dir: string, openssl: (...args: string[]) => Promise<unknown>): Promise<void> {
  const config = [
    '[ca]',
    'default_ca = own',
    '[own]',
    'database = index.txt',
    'serial = serial.txt',
    'new_certs_dir = .',
    'default_md = sha256',
    'policy = any',
    '[any]',
    'commonName = supplied',
    '',
  ]
  await writeFile(join(dir, 'ca.conf'), config.join('\n'))
  await writeFile(join(dir, 'index.txt'), '')
  await writeFile(join(dir, 'serial.txt'), '01\n')
  const sign = 'ca -batch -notext -config ca.conf -cert ca.pem -keyfile ca.key -in server.csr -out server.pem -extfile'
  await openssl(...sign.split(' '), 'server.ext', '-startdate', '20200101000000Z', '-enddate', '20210101000000Z')
}
