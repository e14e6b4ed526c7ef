import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { eventually } from '../servers/eventually.ts'
import { startStockDebian, type PageShell, type StockDebian } from '../servers/stock-debian.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ADMIN_PASSWORD = 'the administrator of slapd'
const ASKS_ADMIN = [['Enter LDAP Password: ', ADMIN_PASSWORD]] as const
const WALK_TIMEOUT_MS = 600_000
/** What docs/openldap.md calls harmless when a block is run again. */
const HARMLESS = /Already exists \(68\)|Type or value exists \(20\)|already in list|duplicate index definition/

/** What a reader copies: the blocks of a page that are marked as sh, in their order. */
function blocksOf(page: string): string[] {
  const text = readFileSync(join(ROOT, page), 'utf8')
  return [...text.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) => block ?? '')
}

/** The block that holds a command. */
function blockWith(page: string, command: string): string {
  return blocksOf(page).find((block) => block.includes(command)) ?? expect.fail(`${page} has no block with ${command}`)
}

async function runGood(
  shell: PageShell,
  block: string,
  answers: Parameters<PageShell['run']>[1] = [],
): Promise<string> {
  const { shown, failed } = await shell.run(block, answers)
  expect(failed, `${block}\n${shown}`).toEqual([])
  return shown
}

/** The checkout as git has it: nothing is installed or built yet. */
function copyCheckout(to: string): void {
  const left = new Set(['node_modules', 'dist', '.git', 'coverage'].map((name) => join(ROOT, name)))
  cpSync(ROOT, to, { recursive: true, filter: (source) => !left.has(source) })
}

/** Runs the line of the unit as the unit's user, which systemd does elsewhere: none runs in the tests. */
function startUnit(debian: StockDebian, unit: string): void {
  const valueOf = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1] ?? expect.fail(`no ${key}`)
  const ids = [`--reuid=${valueOf('User')}`, `--regid=${valueOf('Group')}`, '--init-groups', '--no-new-privs']
  debian.start(['sh', '-c', `umask ${valueOf('UMask')} && exec setpriv ${ids.join(' ')} ${valueOf('ExecStart')}`])
}

describe.runIf(process.getuid?.() === 0)('a Debian on which slapd was just installed', () => {
  test(
    'README.md and docs/openldap.md, copied block by block, lead to the first lock',
    { timeout: WALK_TIMEOUT_MS },
    async () => {
      await using debian = await startStockDebian({ domain: 'example.org', adminPassword: ADMIN_PASSWORD })
      copyCheckout(join(debian.shared, 'lockstep'))
      {
        await using shell = await debian.shell(debian.shared, 'machine')
        await runGood(shell, blockWith('README.md', 'npm ci --prefix'))
      }
      await using shell = await debian.shell('/root')
      let page = ''
      for (const block of blocksOf('docs/openldap.md')) page += await runGood(shell, block, ASKS_ADMIN)
      const password = /The password of testuser: (\w+)/.exec(page)?.[1] ?? expect.fail(page)

      await runGood(shell, blockWith('README.md', 'lockstep init'))
      // privacyIDEA's own installation leaves these.
      await runGood(shell, 'useradd -r -g privacyidea privacyidea && mkdir -p /etc/privacyidea/scripts')
      await runGood(shell, blockWith('README.md', 'lockstep shims install'))
      const doctor = await runGood(shell, blockWith('README.md', 'lockstep doctor'), [
        ['The password of testuser: ', password],
      ])
      expect(doctor).toContain('Everything is as it should be.')
      expect(doctor).toContain('ok    a bind is refused while locked')

      const service = blockWith('README.md', 'lockstep.service').split('\n')
      expect(service[1]).toBe('systemctl daemon-reload && systemctl enable --now lockstep')
      await runGood(shell, service[0] ?? '')
      startUnit(debian, await runGood(shell, 'cat /etc/systemd/system/lockstep.service'))
      await runGood(shell, service.slice(2).join('\n'))
      await seeFirstLock(shell, password)
    },
  )
})

async function seeFirstLock(shell: PageShell, password: string): Promise<void> {
  const bind = `LDAPTLS_CACERT=/etc/lockstep/ldap-ca.pem ldapwhoami -x -H ldaps://ldap.example.org -D uid=testuser,ou=people,dc=example,dc=org -w ${password}`
  expect(await runGood(shell, bind)).toContain('dn:uid=testuser')
  const first = await shell.run(blockWith('README.md', 'lockstep-lock'), [['Enter LDAP Password: ', password]])
  // The page waits a second, which a machine with other work may not keep.
  await eventually('the first lock', async () => (await shell.run(bind)).shown.includes('Invalid credentials (49)'))
  expect(first.shown).toContain('Enter LDAP Password: ')
  expect(await runGood(shell, 'lockstep show testuser')).toMatch(/locked +by us/)
}
