import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../../src/core/error.ts'
import { parseRealm } from '../../../src/core/names.ts'
import { parseRollout, readRolloutFile, type RolloutDefaults } from '../../../src/operations/enrollment/rollout-file.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'

const DEFAULTS: RolloutDefaults = { realm: parseRealm('example'), type: 'totp' }

function logins(text: string): string[] {
  return parseRollout(text, 'users.csv', DEFAULTS).map(({ login }) => login)
}

function mistakesOf(text: string): string[] {
  try {
    return [`no mistake: ${logins(text).join(' ')}`]
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(AppError)
    const { code, message } = thrown as AppError
    expect(code).toBe('input-invalid')
    return message
      .split('\n')
      .slice(1)
      .map((line) => line.trim())
  }
}

describe('the delimiter is what separates the names of the columns', () => {
  test.each([
    ['a comma', 'login,name\nanna,Anna Müller\n'],
    ['a semicolon, beside cells with a comma', 'login;name\nanna;Müller, Anna\nbob;"Meier; Bob"\n'],
    ['a tab, beside cells with both', 'name\tlogin\nMüller, Anna; Dr.\tanna\n'],
    ['a comma, beside quoted cells', 'login,name\nanna,"Müller, Anna"\n'],
    ['quoted names', '"login";"last, first"\nanna;Müller, Anna\n'],
    ['what sep= says', 'sep=;\nlogin;name\nanna;Müller, Anna\n'],
    ['what sep= says, after a mark and with CRLF', '\ufeffsep=;\r\nlogin;name\r\nanna;x\r\n'],
  ])('%s', (_what, text) => {
    expect(logins(text)[0]).toBe('anna')
  })

  test('a cell that holds it without quotes is a mistake, and no token for somebody else', () => {
    expect(mistakesOf('name,login\nMüller, Anna,anna\nBob,bob\nX,Y,Z,bob\n')).toEqual([
      expect.stringMatching(/^users\.csv:2: it has another number of fields/),
      expect.stringMatching(/^users\.csv:4: it has another number of fields/),
    ])
    expect(mistakesOf('login\nMüller, Anna\n')).toEqual([expect.stringMatching(/^users\.csv:2: it has another number/)])
  })

  test('where it cannot be told it is asked for', () => {
    expect(mistakesOf('login;name,first\nanna;x\n')).toEqual([
      'users.csv:1: the names of the columns are separated by a comma and a semicolon',
    ])
  })
})

test('every mistake is named with its line', () => {
  expect(mistakesOf('sep=;\nlogin;realm;type\n;example;\nanna;example;fax\nbob\nok;;\n')).toEqual([
    'users.csv:3: login: a user name is expected',
    expect.stringMatching(/^users\.csv:4: type: expected one of/),
    expect.stringMatching(/^users\.csv:5: it has another number of fields/),
  ])
  expect(mistakesOf('name\nanna\n')).toEqual(['users.csv:1: no column is called login'])
  expect(mistakesOf('login\n')).toEqual(['users.csv:1: no user is below the names of the columns'])
})

test('text is read in the encoding that its mark says, else as UTF-8; anything else is refused', async () => {
  await using dir = await makeTempDir('rollout-file')
  const file = join(dir.path, 'users.csv')
  const read = async (bytes: Uint8Array): Promise<string[]> => {
    writeFileSync(file, bytes)
    return (await readRolloutFile(file, DEFAULTS)).map(({ login }) => login)
  }
  const text = 'login\r\nmüller\r\n'
  expect(await read(Buffer.from(text, 'utf8'))).toEqual(['müller'])
  expect(await read(Buffer.from(`\ufeff${text}`, 'utf8'))).toEqual(['müller'])
  const little = Buffer.from(`\ufeff${text}`, 'utf16le')
  expect(await read(little)).toEqual(['müller'])
  expect(await read(Buffer.from(little).swap16())).toEqual(['müller'])
  await expect(read(Buffer.from(text, 'latin1'))).rejects.toMatchObject({ code: 'input-invalid' })
})

test('whatever a file holds, a login that comes out stands in a line of its own column', () => {
  const cell = fc.constantFrom('anna', 'bob', 'Müller', ' ', ',', ';', '\t', '"', 'a,b', 'a;b', '"a,b"')
  const line = fc.array(cell, { minLength: 1, maxLength: 4 }).map((cells) => cells.join(''))
  fc.assert(
    fc.property(fc.constantFrom(',', ';', '\t'), fc.array(line, { maxLength: 5 }), (delimiter, lines) => {
      const text = [`name${delimiter}login`, ...lines].join('\n')
      let found: readonly string[] = []
      try {
        found = logins(text)
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(AppError)
      }
      // The second field of the one delimiter, and no part of another cell.
      for (const login of found) expect(text).toMatch(new RegExp(`${delimiter}\\s*"?${escapeRegExp(login)}`))
    }),
  )
})

function escapeRegExp(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}
