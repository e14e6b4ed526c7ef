import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { DIRECTORY_TYPES, type DirectoryType } from '../../src/core/settings/directory-type.ts'
import { runTool } from '../servers/run-tool.ts'
import { makeTempDir } from '../servers/temp-dir.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const LIST = 'src/core/settings/directory-type.ts'
const THIS = 'test/directory/new-driver.test.ts'

/** Where a driver is held against the contract, on a real server. */
const CONTRACT_TESTS: Readonly<Record<DirectoryType, string>> = {
  openldap: 'openldap-contract.test.ts',
  'active-directory': 'active-directory/active-directory-contract.test.ts',
  '389ds': 'ds389/ds389-contract.test.ts',
  freeipa: 'ds389/ds389-contract.test.ts',
  custom: 'custom.test.ts',
}

test('a new type of directory does not compile until each place that the architecture lists knows it', async () => {
  await using copy = await makeTempDir('new-driver')
  for (const part of ['tsconfig.json', 'package.json', 'src']) {
    await cp(join(ROOT, part), join(copy.path, part), { recursive: true })
  }
  await mkdir(join(copy.path, dirname(THIS)), { recursive: true })
  await cp(join(ROOT, 'test/servers'), join(copy.path, 'test/servers'), { recursive: true })
  await cp(join(ROOT, THIS), join(copy.path, THIS))
  await symlink(join(ROOT, 'node_modules'), join(copy.path, 'node_modules'))
  const only = { extends: './tsconfig.json', include: ['src', THIS] }
  await writeFile(join(copy.path, 'only.json'), JSON.stringify(only))
  const list = await readFile(join(copy.path, LIST), 'utf8')
  const longer = list.replace(/(DIRECTORY_TYPES = \[[^\]]*)\]/, "$1, 'newProduct']")
  expect(longer).not.toBe(list)
  await writeFile(join(copy.path, LIST), longer)

  const tsc = join(ROOT, 'node_modules/.bin/tsc')
  const { stdout } = await runTool(tsc, ['--noEmit', '--pretty', 'false', '-p', 'only.json'], { cwd: copy.path })
  const missing = [...stdout.matchAll(/^(\S+?)\(\d+,\d+\): error TS2741: Property 'newProduct' is missing/gm)]
  const errors = stdout.split('\n').filter((line) => / error TS\d+: /.test(line))
  expect(missing.length, stdout).toBe(errors.length)
  const files = new Set(missing.map(([, file = '']) => file.replace(/^src\//, '')))
  expect([...files].toSorted()).toEqual((await listedPlaces()).toSorted())
})

/** The list items of the section, by the file that each begins with. */
async function listedPlaces(): Promise<string[]> {
  const page = await readFile(join(ROOT, 'docs/architecture.md'), 'utf8')
  const [, section = ''] = /^### A new driver\n(.*?)(?:^#|$(?![^]))/ms.exec(page) ?? []
  return [...section.matchAll(/^- `([^`]+)`/gm)].map(([, file = '']) => file)
}

test('nothing compares the type of a directory by hand', async () => {
  const names = DIRECTORY_TYPES.join('|')
  // A key of a table, and the list itself, are all that there is.
  const literal = new RegExp(`(['"\`])(?:${names})\\1(?!:)`)
  const places: string[] = []
  for (const file of await readdir(join(ROOT, 'src'), { recursive: true })) {
    if (!file.endsWith('.ts') || join('src', file) === LIST) continue
    const lines = (await readFile(join(ROOT, 'src', file), 'utf8')).split('\n')
    const found = lines.filter((line) => literal.test(line))
    places.push(...found.map((line) => `${file}: ${line.trim()}`))
  }
  expect(places).toEqual([])
})

test.each(Object.entries(CONTRACT_TESTS))('%s has its test on a real server', async (_type, file) => {
  const text = await readFile(join(ROOT, 'test/directory', file), 'utf8')
  expect(text).toMatch(/from '.*contract\.ts'/)
})
