import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startSlapd } from '../../servers/ldap/slapd.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'
import { startLockstep } from '../../support/lockstep.ts'

/** `status --check` is for any user, who may not read the configuration: the daemon itself looks at its file. */
test('status --check warns while the file is not what the daemon works with, and when it has a mistake', async () => {
  await using slapd = await startSlapd({ users: 1 })
  await using dir = await makeTempDir('health-config')
  const yaml = `health: { file: ${join(dir.path, 'health')} }\n`
  await using lockstep = await startLockstep(slapd, { yaml })
  const says = (expected: RegExp): Promise<unknown> =>
    eventually(`the line says ${expected}`, async () => {
      const { code, stdout } = await lockstep.cli('status', '--check', '--health-file', join(dir.path, 'health'))
      return expected.test(`${code} ${stdout}`)
    })
  await says(/^0 LOCKSTEP OK/)
  const before = readFileSync(lockstep.configFile, 'utf8')

  writeFileSync(lockstep.configFile, `${before}log: { level: warn }\n`)
  await says(/^1 LOCKSTEP WARNING.*config-not-loaded/)
  await lockstep.json('reload')
  await says(/^0 LOCKSTEP OK/)

  writeFileSync(lockstep.configFile, `${before}nonsense: true\n`)
  await says(/^1 LOCKSTEP WARNING.*config-mistake/)
  expect((await lockstep.cli('reload')).code).toBe(78)

  writeFileSync(lockstep.configFile, before)
  await says(/^1 LOCKSTEP WARNING.*config-not-loaded/)
  await lockstep.json('reload')
  await says(/^0 LOCKSTEP OK/)
})
