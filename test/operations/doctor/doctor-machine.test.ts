import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { machineFindings } from '../../../src/operations/doctor/machine.ts'
import type { Finding } from '../../../src/operations/doctor/findings.ts'
import { canMount, evaluateReadOnly } from '../../servers/read-only-mount.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lockstep-machine-'))
  chmodSync(dir, 0o750)
  writeFileSync(join(dir, 'password'), 'pw\n', { mode: 0o600 })
  folder('ldif', 0o750)
  folder('spool', 0o710)
  folder('spool/tmp', 0o1730)
  folder('spool/new', 0o1730)
})
afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

function folder(name: string, mode: number): void {
  mkdirSync(join(dir, name), { recursive: true })
  chmodSync(join(dir, name), mode)
}

const CONFIG = `directories:
  corp:
    type: openldap
    urls: [ldap://127.0.0.1]
    bindDn: cn=a
    bindPasswordFile: password
    base: dc=x
store: sqlite:lockstep.db
ldif: { dir: ldif }
intake: { spool: spool }
health: { file: /run/lockstep/health }
`

function look(facts: { nowMs?: number; nodeVersion?: string } = {}, text = CONFIG): readonly Finding[] {
  const { settings } = parseConfig(text, join(dir, 'lockstep.yaml'))
  return machineFindings(settings, { env: {}, nowMs: Date.now(), nodeVersion: process.version, ...facts })
}

function troubles(facts?: Parameters<typeof look>[0]): string[] {
  return look(facts)
    .filter((finding) => !['ok', 'skip'].includes(finding.status) && finding.check !== 'disk-space')
    .map((finding) => `${finding.status} ${finding.check}: ${finding.what} | ${finding.fix}`)
}

test('a machine that is set up well has no trouble', () => {
  expect(troubles()).toEqual([])
  expect(look().map((finding) => finding.check)).toEqual(
    expect.arrayContaining(['node', 'clock', 'secrets', 'store', 'ldif', 'spool', 'disk-space']),
  )
})

test.each<[name: string, change: () => void, expected: RegExp]>([
  [
    'a spool that is missing',
    () => rmSync(join(dir, 'spool'), { recursive: true }),
    /^warn spool: the folder \S+spool does not exist \| lockstep shims install DIR --spool/,
  ],
  [
    'an inbox that is missing',
    () => rmSync(join(dir, 'spool/new'), { recursive: true }),
    /^warn spool: the folder \S+new does not exist/,
  ],
  [
    'an inbox that everybody may write into',
    () => folder('spool/new', 0o1733),
    /^warn spool: \S+new is open to everybody \(mode 1733\) \| chmod 1730/,
  ],
  [
    'an inbox that its group may list',
    () => folder('spool/new', 0o1770),
    /^warn spool: \S+new may be listed by its group \(mode 1770\)/,
  ],
  [
    'a spool that its group cannot pass',
    () => folder('spool', 0o700),
    /^fail spool: \S+spool is closed to its group \(mode 0700\) \| chmod 0710/,
  ],
  [
    'LDIF folders that everybody reads',
    () => folder('ldif', 0o755),
    /^warn ldif: \S+ldif is open to everybody \(mode 0755\) \| chmod 0750/,
  ],
  [
    'a file in place of the LDIF folder',
    () => {
      rmSync(join(dir, 'ldif'), { recursive: true })
      writeFileSync(join(dir, 'ldif'), '')
    },
    /^fail ldif: \S+ldif is no folder/,
  ],
  [
    'a secret that is gone',
    () => rmSync(join(dir, 'password')),
    /^fail secrets: directories.corp.bindPasswordFile: the secret file \S+ does not exist/,
  ],
  ['a secret that its group reads', () => chmodSync(join(dir, 'password'), 0o640), /^warn secrets: .*chmod 600/],
])('%s is found, with its fix', (_name, change, expected) => {
  change()
  const found = troubles()
  expect(found).toHaveLength(1)
  expect(found[0]).toMatch(expected)
})

test('an old Node.js and a clock in the past are found', () => {
  expect(troubles({ nodeVersion: 'v20.20.2' })[0]).toMatch(/^fail node: Node.js is v20.20.2/)
  expect(troubles({ nowMs: Date.parse('2020-01-01') })[0]).toMatch(
    /^fail clock: the clock shows 2020-01-01T00:00:00.000Z/,
  )
})

test('a health file that others cannot come to is found', () => {
  const warned = (): readonly Finding[] =>
    look({}, CONFIG.replace('/run/lockstep/health', 'health')).filter(({ check }) => check === 'health-file')
  expect(warned()).toMatchObject([
    {
      status: 'warn',
      what: `${dir} (mode 0750) keeps others from ${dir}/health`,
      fix: expect.stringContaining('health:'),
    },
  ])
  chmodSync(dir, 0o751)
  expect(warned()).toEqual([])
})

test('what is not there yet and will be made is no trouble', () => {
  rmSync(join(dir, 'ldif'), { recursive: true })
  expect(look().find((finding) => finding.check === 'ldif')).toMatchObject({
    status: 'ok',
    what: expect.stringMatching(/is not there yet/),
  })
})

describe.runIf(canMount())('on a read-only file system', () => {
  const srcUrl = (file: string): string => JSON.stringify(new URL(`../../../src/${file}`, import.meta.url).href)
  const found = (): string[] =>
    evaluateReadOnly(
      dir,
      `
      import { parseConfig } from ${srcUrl('config/load.ts')}
      import { machineFindings } from ${srcUrl('operations/doctor/machine.ts')}
      const { settings } = parseConfig(${JSON.stringify(CONFIG)}, ${JSON.stringify(join(dir, 'lockstep.yaml'))})
      const facts = { env: {}, nowMs: Date.now(), nodeVersion: process.version }
      print(machineFindings(settings, facts)
        .filter(({ status, check }) => !['ok', 'skip'].includes(status) && check !== 'disk-space')
        .map(({ status, check, what, fix }) => status + ' ' + check + ': ' + what + ' | ' + fix))`,
    ) as string[]

  test('every folder is told to be on one, with the mount as the fix', () => {
    const fix = (path: string): string => `mount -o remount,rw "$(findmnt -nT ${path} -o TARGET)"`
    expect(found()).toEqual([
      `fail store: ${dir} is on a read-only file system | ${fix(dir)}`,
      `fail ldif: ${dir}/ldif is on a read-only file system | ${fix(`${dir}/ldif`)}`,
      `fail spool: ${dir}/spool is on a read-only file system | ${fix(`${dir}/spool`)}`,
    ])
  })

  test('a folder that is missing there cannot just be made', () => {
    rmSync(join(dir, 'spool'), { recursive: true })
    rmSync(join(dir, 'ldif'), { recursive: true })
    expect(found().slice(1)).toEqual([
      expect.stringMatching(/^fail ldif: \S+ldif does not exist, and \S+ is on a read-only file system \| mount -o/),
      expect.stringMatching(
        /^fail spool: the folder \S+spool does not exist, and \S+ is on a read-only file system \| mount -o .*; then: lockstep/,
      ),
    ])
  })
})
