import { protecting } from '../directory-settings.ts'
import { asDn } from '../../../src/core/names.ts'
import type { DirectorySettings } from '../../../src/core/settings/settings.ts'
import { TYPE_DEFAULTS } from '../../../src/core/settings/directory-type.ts'
import type { DirectoryPort } from '../../../src/ports/directory.ts'
import type { Samba } from '../../servers/ldap/samba.ts'
import { loginOf, type World } from '../contract.ts'
import { nameOfDirectory } from '../directory-settings.ts'

const PASSWORD_ENV = 'LOCKSTEP_TEST_AD_PASSWORD'

/** Settings of a directory `corp` on a test server, with the defaults of the configuration. */
export function sambaSettings(samba: Samba, change: Partial<DirectorySettings> = {}): DirectorySettings {
  process.env[PASSWORD_ENV] = samba.servicePassword
  return {
    name: nameOfDirectory('corp'),
    type: 'active-directory',
    urls: [samba.url],
    startTls: 'required',
    bindDn: asDn(samba.serviceDn),
    bindPassword: { env: PASSWORD_ENV },
    caFile: samba.caFile,
    tlsServerName: null,
    base: asDn(samba.peopleDn),
    ...TYPE_DEFAULTS['active-directory'],
    serialFormat: 'privacyIDEA:{serial}',
    connectTimeoutMs: 2000,
    operationTimeoutMs: 5000,
    connectionsMax: 2,
    inFlightMax: 16,
    lock: [],
    clearLockout: true,
    protect: protecting({}),
    ...change,
  }
}

/** 100 ns since 1601, in the past. */
const EXPIRED = '116444736010000000'

/** A test server as the contract sees it: other people's edits by the stock tools, as the administrator. */
export function sambaWorld(samba: Samba, port: DirectoryPort): World {
  let users = 0
  const edit = async (text: string): Promise<void> => {
    const { code, stderr } = await samba.ldapmodify(text)
    if (code !== 0) throw new Error(`ldapmodify: ${code} ${stderr}`)
  }
  const modify = (login: string, lines: string) => edit(`dn: ${samba.userDn(login)}\nchangetype: modify\n${lines}\n`)
  return {
    port,
    lock: {
      untouched: ['512'],
      ours: '514',
      // The password never expires.
      harmless: '66048',
      oursOverHarmless: '66050',
      changed: '66050',
      reportsTheLoser: false,
      writesById: true,
    },
    newLogin: async () => loginOf(`u${++users}`),
    serialValues: async (login) => wordsIn((await samba.values(login, 'description'))[0] ?? ''),
    lockValues: (login) => samba.values(login, 'userAccountControl'),
    addSerialValue: async (login, value) => {
      const [before] = await samba.values(login, 'description')
      await modify(login, `replace: description\ndescription: ${before === undefined ? value : `${before} ${value}`}`)
    },
    setLock: (login, value) => modify(login, `replace: userAccountControl\nuserAccountControl: ${value}`),
    lockOtherwise: (login) => modify(login, `replace: accountExpires\naccountExpires: ${EXPIRED}`),
    rdn: (login) => `CN=${login}`,
    rename: async (login, to) => {
      await edit(`dn: ${samba.userDn(login)}\nchangetype: modrdn\nnewrdn: CN=${to}\ndeleteoldrdn: 1\n`)
      await modify(
        to,
        `replace: sAMAccountName\nsAMAccountName: ${to}\n-\nreplace: userPrincipalName\nuserPrincipalName: ${to}@example.org`,
      )
    },
    remove: (login) => edit(`dn: ${samba.userDn(login)}\nchangetype: delete\n`),
  }
}

/** Serials are words in the one value that there is; what is between them is somebody else's. */
function wordsIn(text: string): string[] {
  const words = text.split(' ').filter((word) => word !== '')
  const serials = words.filter((word) => word.startsWith('privacyIDEA:'))
  const others = words.filter((word) => !word.startsWith('privacyIDEA:')).join(' ')
  return [...serials, ...(others === '' ? [] : [others])].toSorted()
}
