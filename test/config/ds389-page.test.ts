import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { asDn } from '../../src/core/names.ts'
import { TYPE_DEFAULTS } from '../../src/core/directory-type.ts'
import { openDirectories } from '../../src/directory/open-directories.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { readRightFix, writeRightFix, limitsFix, policyRightFix } from '../../src/daemon/ds389-fix.ts'
import { changeFor, desired, heldBy, loginOf, serialOf } from '../directory/contract.ts'
import { directorySettings } from '../directory/directory-settings.ts'
import { ds389Settings } from '../directory/ds389-world.ts'
import { startDs389 } from '../servers/ds389.ts'

const PAGE = readFileSync(new URL('../../docs/389ds-freeipa.md', import.meta.url), 'utf8')
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
    await ds.edit(
      `dn: ou=people,${SUFFIX}\nchangetype: modify\ndelete: aci\n\ndn: ${ds.serviceDn}\nchangetype: delete\n`,
    )
    // Its indexes are those of the page.
    await ds.edit(
      `dn: cn=nsAccountLock,cn=index,cn=userRoot,cn=ldbm database,cn=plugins,cn=config\nchangetype: delete\n`,
    )
    const blocks = [...PAGE.matchAll(/```ldif\n(.*?)```/gs)].map((match) => match[1] ?? '')
    expect(blocks.length).toBe(4)
    for (const block of blocks)
      await ds.edit(block.replace(/^userPassword: .*$/m, `userPassword: ${ds.servicePassword}`))
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

test('the rights of the page are those that doctor prints', () => {
  const acisOf = (text: string) => [...text.matchAll(/^aci: .*$/gm)].map(([line]) => line)
  const places = {
    '389ds': { base: `ou=people,${SUFFIX}`, bindDn: `cn=lockstep,ou=services,${SUFFIX}` },
    freeipa: { base: `cn=users,cn=accounts,${SUFFIX}`, bindDn: `uid=lockstep,cn=sysaccounts,cn=etc,${SUFFIX}` },
  }
  const printed = (['389ds', 'freeipa'] as const).flatMap((type) => {
    const { base, bindDn } = places[type]
    const settings = { ...SETTINGS, ...TYPE_DEFAULTS[type], type, base: asDn(base), bindDn: asDn(bindDn) }
    const policies = type === 'freeipa' ? [policyRightFix(settings, SUFFIX)] : []
    return [readRightFix(settings), writeRightFix(settings), limitsFix(settings), ...policies].flatMap(acisOf)
  })
  expect(new Set(printed)).toEqual(new Set(acisOf(PAGE)))
})
