import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { asDn } from '../../src/core/names.ts'
import { TYPE_DEFAULTS } from '../../src/core/settings/directory-type.ts'
import { openDirectories } from '../../src/directory/open-directories.ts'
import { systemClock } from '../../src/ports/clock.ts'
import {
  readRightAdvice,
  writeRightAdvice,
  limitsAdvice,
  policyRightAdvice,
} from '../../src/operations/advice/ds389-advice.ts'
import { changeFor, desired, heldBy, loginOf, serialOf } from '../directory/contract.ts'
import { directorySettings } from '../directory/directory-settings.ts'
import { ds389Settings } from '../directory/ds389/ds389-world.ts'
import { startDs389, type Ds389 } from '../servers/ldap/ds389.ts'

const PAGE = readFileSync(new URL('../../docs/how-to/389ds-freeipa.md', import.meta.url), 'utf8')
const BLOCKS = [...PAGE.matchAll(/```ldif\n(.*?)```/gs)].map((match) => match[1] ?? '')
const SUFFIX = 'dc=example,dc=org'
/** Of a server that nobody asks. */
const SETTINGS = directorySettings({
  url: 'ldaps://ldap.example.org',
  serviceDn: '',
  servicePassword: '',
  peopleDn: '',
})
const START_TIMEOUT_MS = 300_000

test(
  'the LDIF of the 389-DS page, applied from top to bottom, makes a plain server ready for a lock that bites',
  { timeout: START_TIMEOUT_MS },
  async () => {
    await using ds = await startDs389()
    await ds.edit(`dn: ou=people,${SUFFIX}\nchangetype: modify\ndelete: aci\n`)
    const indexes = ['description', 'nsAccountLock'].map(
      (attribute) => `cn=${attribute},cn=index,cn=userRoot,cn=ldbm database,cn=plugins,cn=config`,
    )
    for (const dn of [ds.serviceDn, ds.readerDn, `ou=services,${SUFFIX}`, ...indexes]) await removeIfThere(ds, dn)
    const blocks = BLOCKS.filter((block) => !block.includes('cn=sysaccounts'))
    expect(blocks.length).toBe(4)
    for (const block of blocks) expect(await applyBlock(ds, block), block).toEqual([])
    for (const dn of indexes) expect(await ds.ldapsearch('-b', dn, '-s', 'base')).toContain('nsIndexType: eq')
    // Again, and nothing but what the page calls harmless is said.
    for (const block of blocks)
      for (const refusal of await applyBlock(ds, block)) expect(refusal).toMatch(/\((?:68|20)\)/)
    await using port = openDirectories({ directories: [ds389Settings(ds)], realms: {} }, systemClock)
    const { key } = await port.findByLogin(loginOf('u1'), null)
    const change = changeFor(heldBy(serialOf('T1')), await port.observe(key, [], 0))
    expect((await port.apply(change)).lock).toMatchObject({ state: 'as-ours', effective: { is: 'yes' } })
    expect((await ds.bind(ds.userDn('u1'), ds.userPassword)).code).toBe(53)
    const ours = { lock: { slots: change.slots, dn: change.dn, holds: change.holds } }
    await port.apply(changeFor(desired({ serials: [] }), await port.observe(key, [], 0), ours))
    expect((await ds.bind(ds.userDn('u1'), ds.userPassword)).code).toBe(0)
    const register = changeFor(desired({ serials: [serialOf('T1')] }), await port.observe(key, [], 0))
    expect((await port.apply(register)).serialValues).toEqual(['privacyIDEA:T1'])
  },
)

test(
  'the LDIF of the page for FreeIPA makes a server with its layout ready, but for what FreeIPA’s own plugins add',
  { timeout: START_TIMEOUT_MS },
  async () => {
    await using ds = await startDs389({ layout: 'freeipa' })
    for (const dn of [`cn=users,cn=accounts,${SUFFIX}`, `cn=kerberos,${SUFFIX}`])
      await ds.edit(`dn: ${dn}\nchangetype: modify\ndelete: aci\n`)
    await removeIfThere(ds, ds.serviceDn)
    const limits = BLOCKS.find((block) => block.includes('nsSizeLimit')) ?? expect.fail('no limits')
    const ownLimits = limits.replace(/^dn: .*$/m, /`(dn: uid=lockstep,cn=sysaccounts.*)`/.exec(PAGE)?.[1] ?? '')
    const blocks = BLOCKS.filter((block) => block.includes('cn=sysaccounts'))
    expect(blocks.length).toBe(2)
    for (const block of [...blocks, ownLimits]) expect(await applyBlock(ds, block), block).toEqual([])
    await using port = openDirectories({ directories: [ds389Settings(ds)], realms: {} }, systemClock)
    const { key } = await port.findByLogin(loginOf('u1'), null)
    const change = changeFor(heldBy(serialOf('T1')), await port.observe(key, [], 0))
    expect((await port.apply(change)).lock).toMatchObject({ state: 'as-ours', effective: { is: 'yes' } })
    expect((await ds.bind(ds.userDn('u1'), ds.userPassword)).code).toBe(53)
    const service = { dn: ds.serviceDn, password: ds.servicePassword }
    const sn = `dn: ${ds.userDn('u1')}\nchangetype: modify\nreplace: sn\nsn: B\n`
    expect(await ds.ldapmodify(sn, service)).toMatchObject({ code: 50 })
  },
)

/** As the page says, `ldapmodify -c`. @returns what the server refused */
async function applyBlock(ds: Ds389, block: string): Promise<readonly string[]> {
  const text = block.replace(/^userPassword: .*$/m, `userPassword: ${ds.servicePassword}`)
  const { stderr } = await ds.ldapmodify(text, ds.admin, ['-c'])
  return stderr.split('\n').filter((line) => line.startsWith('ldap_'))
}

async function removeIfThere(ds: Ds389, dn: string): Promise<void> {
  const { code, stderr } = await ds.ldapmodify(`dn: ${dn}\nchangetype: delete\n`)
  expect([0, 32], stderr).toContain(code)
}

test('the rights of the page are those that doctor prints', () => {
  const acisOf = (text: string) => [...text.matchAll(/^aci: .*$/gm)].map(([line]) => line)
  const places = {
    '389ds': { base: `ou=people,${SUFFIX}`, bindDn: `cn=lockstep,ou=services,${SUFFIX}` },
    freeipa: { base: `cn=users,cn=accounts,${SUFFIX}`, bindDn: `uid=lockstep,cn=sysaccounts,cn=etc,${SUFFIX}` },
  }
  const printed = (['389ds', 'freeipa'] as const).flatMap((type) => {
    const { base, bindDn } = places[type]
    const settings = { ...SETTINGS, ...TYPE_DEFAULTS[type], type, base: asDn(base), bindDn: asDn(bindDn) }
    const policies = type === 'freeipa' ? [policyRightAdvice(settings, SUFFIX)] : []
    return [readRightAdvice(settings), writeRightAdvice(settings), limitsAdvice(settings), ...policies].flatMap(acisOf)
  })
  expect(new Set(printed)).toEqual(new Set(acisOf(PAGE)))
})
