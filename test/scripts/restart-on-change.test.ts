import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { restartOnChange } from '../../scripts/restart-on-change.ts'
import { eventually } from '../servers/eventually.ts'
import { makeTempDir } from '../servers/temp-dir.ts'

/** Reads the file that it is to show, and stays. */
const PROGRAM = `import { readFileSync } from 'node:fs'
process.on('SIGTERM', () => process.exit(0))
console.log(readFileSync(process.argv[2], 'utf8'))
if (!process.argv[3]) setInterval(() => {}, 1000)
`

test('a change of a file below the folder ends the program and starts it anew, once for all files of a moment', async () => {
  await using temp = await makeTempDir('restart')
  const [source, program] = [join(temp.path, 'src'), join(temp.path, 'program.mjs')]
  mkdirSync(join(source, 'deep'), { recursive: true })
  const file = join(source, 'deep', 'text')
  writeFileSync(file, 'one')
  writeFileSync(program, PROGRAM)
  const children: ChildProcess[] = []
  let printed = ''
  const said: string[] = []
  {
    await using running = restartOnChange(
      [source],
      () => {
        const child = spawn(process.execPath, [program, file], { stdio: ['ignore', 'pipe', 'inherit'] })
        child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
        children.push(child)
        return child
      },
      (text) => said.push(text),
    )
    await eventually('it runs', () => printed === 'one\n')
    writeFileSync(file, 'two')
    writeFileSync(join(source, 'other'), 'x')
    await eventually('it runs again', () => printed === 'one\ntwo\n')
    expect(running.starts).toBe(2)
    expect(children[0]?.exitCode).toBe(0)
  }
  expect(children.map(({ exitCode }) => exitCode)).toEqual([0, 0])
  expect(said).toEqual([expect.stringMatching(/^\S+ has changed: it is started again\.$/)])
})

test('a program that ends by itself is reported, and started again at the next change', async () => {
  await using temp = await makeTempDir('restart')
  const [source, program] = [join(temp.path, 'src'), join(temp.path, 'program.mjs')]
  mkdirSync(source)
  const file = join(source, 'text')
  writeFileSync(file, 'one')
  writeFileSync(program, PROGRAM)
  const said: string[] = []
  await using running = restartOnChange(
    [source],
    () => spawn(process.execPath, [program, file, 'once'], { stdio: 'ignore' }),
    (text) => said.push(text),
  )
  await eventually('its end is reported', () => said.length > 0)
  expect(said).toEqual(['It ended (0), and is started again after the next change.'])
  writeFileSync(file, 'two')
  await eventually('it is started again', () => running.starts === 2)
})
