import { openDirectories } from '../../src/directory/open-directories.ts'
import { systemClock } from '../../src/ports/clock.ts'
import { plan } from '../../src/core/plan.ts'
import { startSlapd } from '../servers/slapd.ts'
import { directorySettings } from './directory-settings.ts'
await using s = await startSlapd()
await using d = openDirectories({ directories: [directorySettings(s)], realms: {} }, systemClock)
const f = await d.findByLogin('u1' as never, null)
console.log(f)
const o = await d.observe(f.key, ['T1' as never], 0)
console.dir(o, {depth: 5})
const hold = { name: 'T1', kind: 'token', serial: 'T1', sinceUs: 1, untilUs: null, reason: 'r', actor: '' } as never
const p = plan({ serials: ['T1' as never], gone: [], movedFrom: {}, holds: [hold], nextExpiryUs: null }, o, { lock: null }, { onForeignUnlock: 'respect' })
if (p.kind !== 'change') throw 1
console.log(JSON.stringify(p.change))
const o2 = await d.apply(p.change)
console.dir(o2, {depth: 5})
console.log(await s.ldapwhoami(s.userDn('u1'), 'userpw'))
try { await d.apply(p.change) } catch (e) { console.log(e) }
for await (const m of d.walkMarked('corp' as never)) console.log(m.dn)
try { await d.findByLogin('nobody' as never, null) } catch (e) { console.log(String(e)) }
