import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { lossTests } from './losses.ts'

/** 3.12 and later refuse to delete a realm whose users have tokens; 3.11 does it, and lists their tokens no more. */
lossTests(
  '3.11',
  'the realm is deleted',
  async ({ pi }) => {
    const policy = { scope: 'admin', active: true, adminuser: 'admin', action: 'resolverdelete', realm: '' }
    await pi.ask('POST', '/policy/realms', policy)
    copyFileSync(join(pi.dir, 'pi.db'), join(pi.dir, 'pi.backup'))
    await pi.ask('DELETE', '/realm/r1')
  },
  // A realm of the same name does not bring them back: its administrators need their backup.
  async ({ pi }) => {
    await pi.stop()
    copyFileSync(join(pi.dir, 'pi.backup'), join(pi.dir, 'pi.db'))
    await pi.start()
  },
)
