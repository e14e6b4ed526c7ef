import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startStockDebian, type PageShell, type StockDebian } from '../../servers/debian/stock-debian.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const ADMIN_PASSWORD = 'the administrator of slapd'
const ASKS_ADMIN = [['Enter LDAP Password: ', ADMIN_PASSWORD]] as const
/** In place of the ten seconds of the page: this machine may have other work. */
const PATIENT = '--wait 100s'
const WALK_TIMEOUT_MS = 600_000
const INSTALL_PAGE = 'docs/how-to/install.md'
/** What docs/how-to/openldap.md calls harmless when a block is run again. */
const HARMLESS = /Already exists \(68\)|Type or value exists \(20\)|already in list|duplicate index definition/

/** What a reader copies: the blocks of a page that are marked as sh, in their order. */
function blocksOf(page: string): string[] {
  const text = readFileSync(join(ROOT, page), 'utf8')
  return [...text.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) => block ?? '')
}

/** Those that a test took from a page. */
const taken = new Set<string>()

/** The block that holds a command. */
function blockWith(page: string, command: string): string {
  const found = blocksOf(page).find((block) => block.includes(command))
  if (found === undefined) return expect.fail(`${page} has no block with ${command}`)
  if (page === INSTALL_PAGE) taken.add(found)
  return found
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

const UNIT_PID = '/run/unit.pid'
const STOP_UNIT = `kill $(cat ${UNIT_PID}) && tail --pid=$(cat ${UNIT_PID}) -f /dev/null`

/** Runs the line of the unit as the unit's user, which systemd does elsewhere: none runs in the tests. */
function startUnit(debian: StockDebian, unit: string): void {
  const valueOf = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1] ?? expect.fail(`no ${key}`)
  const ids = [`--reuid=${valueOf('User')}`, `--regid=${valueOf('Group')}`, '--init-groups', '--no-new-privs']
  const command = `echo $$ >${UNIT_PID} && umask ${valueOf('UMask')} && exec setpriv ${ids.join(' ')} ${valueOf('ExecStart')}`
  debian.start(['sh', '-c', command])
}

describe.runIf(process.getuid?.() === 0)('a Debian on which slapd was just installed', () => {
  test(
    'docs/how-to/install.md and docs/how-to/openldap.md, copied block by block, lead to the first lock',
    { timeout: WALK_TIMEOUT_MS },
    async () => {
      await using debian = await startStockDebian({ domain: 'example.org', adminPassword: ADMIN_PASSWORD })
      copyCheckout(join(debian.shared, 'lockstep'))
      {
        await using shell = await debian.shell(debian.shared, 'machine')
        await runGood(shell, blockWith(INSTALL_PAGE, 'npm ci --prefix'))
      }
      await using shell = await debian.shell('/root')
      let page = ''
      for (const block of blocksOf('docs/how-to/openldap.md')) page += await runGood(shell, block, ASKS_ADMIN)
      const password = /The password of testuser: (\w+)/.exec(page)?.[1] ?? expect.fail(page)

      await runGood(shell, blockWith(INSTALL_PAGE, 'lockstep init'))
      for (const time of ['first', 'second'])
        expect(await runGood(shell, blockWith(INSTALL_PAGE, 'useradd')), time).toBe('')
      await runGood(shell, blockWith(INSTALL_PAGE, 'lockstep shims install'))
      const doctor = await runGood(shell, blockWith(INSTALL_PAGE, 'lockstep doctor'), [
        ['The password of testuser: ', password],
      ])
      // Not on record or not configured yet: a store, privacyIDEA's API, mail.
      expect(doctor).toContain('All that was looked at is as it should be; 4 skipped.')
      expect(doctor).toContain('ok    a bind is refused while locked')

      const service = blockWith(INSTALL_PAGE, 'lockstep.service').split('\n')
      expect(service[1]).toBe('systemctl daemon-reload && systemctl enable --now lockstep')
      await runGood(shell, service[0] ?? '')
      startUnit(debian, await runGood(shell, 'cat /etc/systemd/system/lockstep.service'))
      await runGood(shell, service.slice(2).join('\n').replace('--wait 10s', PATIENT))
      await seeFirstLock(shell, password)
      await rebuildLostDatabase(shell)
      await endLockByHand(shell, password)
      await switchApiOn(shell)
      await makeOtherSecrets(shell)
      expect(new Set(blocksOf(INSTALL_PAGE))).toEqual(taken)
    },
  )

  test(
    'on another suffix, where a part is there already, docs/how-to/openldap.md adds what is missing, and a second time nothing',
    { timeout: WALK_TIMEOUT_MS },
    async () => {
      await using debian = await startStockDebian({ domain: 'example.net', adminPassword: 'nobody knows it' })
      await using shell = await debian.shell('/root')
      await setAdminPassword(shell)
      await runGood(shell, 'useradd -r lockstep && mkdir /etc/lockstep')
      await runGood(shell, partOfThePage('dc=example,dc=net'), ASKS_ADMIN)
      const first = await applyPage(shell)
      expect(first.refusals).toHaveLength(5)
      const before = await shell.run(SHOW_ALL)
      const second = await applyPage(shell)
      expect(second.refusals.length).toBeGreaterThan(12)
      expect((await shell.run(SHOW_ALL)).shown).toBe(before.shown)
      for (const refusal of [...first.refusals, ...second.refusals]) expect(refusal).toMatch(HARMLESS)

      const password = /The password of testuser: (\w+)/.exec(first.shown)?.[1] ?? expect.fail(first.shown)
      await seeRights(shell, password)
    },
  )

  test(
    'the lines that doctor prints, run as they stand one after the other, make it ready as well',
    { timeout: WALK_TIMEOUT_MS },
    async () => {
      await using debian = await startStockDebian({ domain: 'example.org', adminPassword: ADMIN_PASSWORD })
      await using shell = await debian.shell(debian.shared)
      await runGood(shell, 'useradd -r lockstep && mkdir /etc/lockstep')
      let page = ''
      for (const mark of ['host=', '[ -s "$password_file" ]', 'cn: lockstep', 'uid: testuser'])
        page += await runGood(shell, blockWith('docs/how-to/openldap.md', mark), ASKS_ADMIN)
      const password = /The password of testuser: (\w+)/.exec(page)?.[1] ?? expect.fail(page)
      expect(await initWithPassword(shell, '/etc/lockstep/ldap-password')).not.toContain('chown')
      await runGood(shell, 'install -m 600 /etc/lockstep/ldap-password /root/of-root')
      expect(await initWithPassword(shell, '/root/of-root')).toContain('chown lockstep /root/of-root')
      writeFileSync(join(debian.shared, 'lockstep.yaml'), PLAIN_CONFIG)
      const fixed = new Set<string>()
      let fix = await nextFix(shell, password)
      while (fix !== null && !fixed.has(fix)) {
        await runGood(shell, fix, ASKS_ADMIN)
        fixed.add(fix)
        fix = await nextFix(shell, password)
      }
      expect(fix).toBeNull()
      expect(fixed.size).toBe(3)
    },
  )
})

const PLAIN_CONFIG = `directories:
  main:
    type: openldap
    urls: ['ldap://127.0.0.1']
    startTls: off
    bindDn: cn=lockstep,ou=services,dc=example,dc=org
    bindPasswordFile: /etc/lockstep/ldap-password
    base: ou=people,dc=example,dc=org
store: sqlite:state/lockstep.db
ldif: { dir: state/ldif }
intake: { spool: state/spool }
`

/** What init says about a password file. */
function initWithPassword(shell: PageShell, file: string): Promise<string> {
  const options = `--url ldap://127.0.0.1 --start-tls off --bind-dn cn=lockstep,ou=services,dc=example,dc=org --base ou=people,dc=example,dc=org`
  const command = `'${ROOT}/bin/lockstep' init --config /root/init.yaml --force --yes ${options} --bind-password-file ${file}`
  return runGood(shell, command)
}

/** What doctor says first about the directory; null: nothing. */
async function nextFix(shell: PageShell, password: string): Promise<string | null> {
  const command = `LOCKSTEP_PROBE_PASSWORD=${password} '${ROOT}/bin/lockstep' doctor --probe testuser --config lockstep.yaml --json`
  const { shown } = await shell.run(command)
  const { data } = JSON.parse(shown) as {
    data: { findings: { area: string; status: string; what: string; fix: string }[] }
  }
  const open = data.findings.filter(
    ({ area, status }) => area === 'directory main' && (status === 'fail' || status === 'warn'),
  )
  return open[0]?.fix ?? null
}

/** All of the configuration and the data, without the marks of a write that changed nothing. */
const SHOW_ALL = `for n in 0 1; do slapcat -n $n | grep -v '^\\(entryCSN\\|modifyTimestamp\\|modifiersName\\|contextCSN\\):'; done`

/** What another administrator may have done before: of each block a part. */
function partOfThePage(suffix: string): string {
  const config = (text: string) => `dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\n${text}\n\n`
  const unit = (ou: string) => `dn: ou=${ou},${suffix}\nchangetype: add\nobjectClass: organizationalUnit\nou: ${ou}\n\n`
  const clause = `to dn.subtree="ou=people,${suffix}" attrs=description by dn.exact="cn=lockstep,ou=services,${suffix}" write by * break`
  return `ldapmodify -Q -Y EXTERNAL -H ldapi:/// <<'END' &&
dn: cn=module{0},cn=config
changetype: modify
add: olcModuleLoad
olcModuleLoad: ppolicy

${config('add: olcDbIndex\nolcDbIndex: description eq')}${config(`add: olcAccess\nolcAccess: {0}${clause}`)}END
ldapmodify -x -H ldapi:/// -D cn=admin,${suffix} -W <<'END'
${unit('services')}${unit('policies')}END`
}

/** The block of the page for an administrator's password that nobody knows. */
async function setAdminPassword(shell: PageShell): Promise<void> {
  const page = readFileSync(join(ROOT, 'docs/how-to/openldap.md'), 'utf8')
  const block = /^```\n([^`]*olcRootPW[^`]*)^```/m.exec(page)?.[1] ?? expect.fail('no block with olcRootPW')
  await runGood(shell, blockWith('docs/how-to/openldap.md', 'host='))
  const questions = ['New password: ', 'Re-enter new password: '] as const
  await runGood(
    shell,
    block,
    questions.map((question) => [question, ADMIN_PASSWORD] as const),
  )
}

/** The page with the values of this server in the one block that asks for them. */
async function applyPage(shell: PageShell): Promise<{ shown: string; refusals: string[] }> {
  let shown = ''
  for (const block of blocksOf('docs/how-to/openldap.md')) {
    const isValues = block.startsWith('host=')
    const filled = isValues ? block.replace('ldap.example.org', 'ldap.example.net').replace('dc=org', 'dc=net') : block
    shown += (await shell.run(filled, ASKS_ADMIN)).shown
  }
  return { shown, refusals: shown.match(/^ldap_\w+: .*(?:\n\s+additional info: .*)?/gm) ?? [] }
}

/** The rights of the page are enough for a lock that takes effect, and not for more; others may do what they could before. */
async function seeRights(shell: PageShell, password: string): Promise<void> {
  const user = 'uid=testuser,ou=people,dc=example,dc=net'
  const tools = '-x -H ldap://127.0.0.1'
  const service = `${tools} -D cn=lockstep,ou=services,dc=example,dc=net -y /etc/lockstep/ldap-password`
  const write = async (lines: string) =>
    (await shell.run(`ldapmodify ${service} <<'END'\ndn: ${user}\nchangetype: modify\n${lines}\nEND`)).shown
  const bind = async () => (await shell.run(`ldapwhoami ${tools} -D ${user} -w ${password}`)).shown
  expect(await bind()).toContain(user)
  expect(await write('add: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z')).not.toContain('ldap_')
  expect(await bind()).toContain('Invalid credentials (49)')
  expect(await write('delete: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z')).not.toContain('ldap_')
  expect(await bind()).toContain(user)
  expect(await write('add: description\ndescription: privacyIDEA:T1')).not.toContain('ldap_')
  expect(await write('replace: sn\nsn: B')).toContain('Insufficient access (50)')
  expect(await write('replace: userPassword\nuserPassword: x')).toContain('Insufficient access (50)')
  const config = (await shell.run(`ldapsearch ${service} -LLL -b cn=config '(olcSuffix=*)' '*'`)).shown
  expect(config).toContain('olcSuffix: dc=example,dc=net')
  expect(config).not.toMatch(/olcRootPW|olcAccess/)
  expect((await shell.run(`ldapsearch ${tools} -LLL -b ${user} description`)).shown).toContain('privacyIDEA:T1')
}

const BIND =
  'LDAPTLS_CACERT=/etc/lockstep/ldap-ca.pem ldapwhoami -x -H ldaps://ldap.example.org -D uid=testuser,ou=people,dc=example,dc=org'

async function seeFirstLock(shell: PageShell, password: string): Promise<void> {
  const bind = `${BIND} -w ${password}`
  expect(await runGood(shell, bind)).toContain('dn:uid=testuser')
  const first = await shell.run(blockWith(INSTALL_PAGE, 'lockstep-lock'), [['Enter LDAP Password: ', password]])
  expect(first.shown).toContain('Enter LDAP Password: ')
  // The page waits a second, which a machine with other work may not keep.
  await eventually('the first lock', async () => (await shell.run(bind)).shown.includes('Invalid credentials (49)'))
  expect(await runGood(shell, 'lockstep show testuser')).toMatch(/locked +by us/)
}

/** docs/how-to/restore.md, "When the database is lost". */
async function rebuildLostDatabase(shell: PageShell): Promise<void> {
  await runGood(shell, `${STOP_UNIT}; mkdir lost && mv /var/lib/lockstep/lockstep.db* lost`)
  const rebuilt = await runGood(shell, blockWith('docs/how-to/restore.md', 'lockstep rebuild'))
  expect(rebuilt).toContain('1 account: 0 serials, 1 hold restored')
  expect(rebuilt).toContain('1 held, 1 locked by us')
}

/** The last block of docs/how-to/openldap.md, with the name of the file that its first line shows. */
async function endLockByHand(shell: PageShell, password: string): Promise<void> {
  const page = readFileSync(join(ROOT, 'docs/how-to/openldap.md'), 'utf8')
  const [list = '', modify = ''] = /^## By hand[^]*?^```\n([^]*?)^```/m.exec(page)?.[1]?.split('\n') ?? []
  const name = /(\S+)\.ldif/.exec(await runGood(shell, list))?.[1] ?? expect.fail('no file in unlock/')
  await runGood(shell, modify.replace('SERIAL', name), ASKS_ADMIN)
  expect(await runGood(shell, `${BIND} -w ${password}`)).toContain('dn:uid=testuser')
}

/** The secrets of the other pages: for Lockstep's user alone, and such as Lockstep takes. */
async function makeOtherSecrets(shell: PageShell): Promise<void> {
  const asked = [['The password of Lockstep in the directory: ', 'secret of slapd']] as const
  await runGood(shell, blockWith(INSTALL_PAGE, 'of Lockstep in the directory'), asked)
  const file = await runGood(
    shell,
    "stat -c '%U %a' /etc/lockstep/ldap-password; cat /etc/lockstep/ldap-password; echo .",
  )
  expect(file).toContain('lockstep 600\nsecret of slapd.')
  await runGood(shell, 'rm /etc/lockstep/ldap-password')
  await runGood(shell, blockWith('docs/how-to/389ds-freeipa.md', '/etc/lockstep/ldap-password'))
  await runGood(shell, blockWith('docs/how-to/privacyidea-events.md', '/etc/lockstep/hook-secret'))
  const files = await runGood(shell, "stat -c '%U %a %s' /etc/lockstep/ldap-password /etc/lockstep/hook-secret")
  expect(files.trim().split('\n')).toEqual(['lockstep 600 49', 'lockstep 600 49'])
}

/** Mode api is a matter of the password's file, of taking "# " away, and of the address. */
async function switchApiOn(shell: PageShell): Promise<void> {
  const block = blockWith(INSTALL_PAGE, '/etc/lockstep/pi-password')
  await runGood(shell, block, [['The password of lockstep in privacyIDEA: ', 'secret of the API']])
  const file = await runGood(
    shell,
    'stat -c "%U %a %s" /etc/lockstep/pi-password; cat /etc/lockstep/pi-password; echo .',
  )
  expect(file).toContain('lockstep 600 17\nsecret of the API.')
  await runGood(shell, "sed -i '/^# privacyidea:/,/^$/ s/^# //' /etc/lockstep/lockstep.yaml && lockstep check")
  expect(await runGood(shell, 'cat /etc/lockstep/lockstep.yaml')).toMatch(/^privacyidea:\n {2}url: /m)
}
