import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { entryFields, type LogEntry } from '../../src/core/events/log-entry.ts'
import { splitAccountKey } from '../../src/core/names.ts'
import { openLog } from '../../src/app/log.ts'

/** What others chose (a login, a serial, a server's words) never becomes a line, a key or a value of its own. */

function logged(write: (log: ReturnType<typeof openLog>) => void): string[] {
  let text = ''
  write(openLog({ write: (piece) => (text += piece) }, false))
  return text.split('\n').slice(0, -1)
}

/** As a reader of logfmt does it: values bare or as a JSON string. */
function fieldsOf(line: string): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const [, key = '', value = ''] of line.matchAll(/ ([a-z_]+)=("(?:[^"\\]|\\.)*"|\S*)/g)) {
    fields[key] = value.startsWith('"') ? String(JSON.parse(value)) : value
  }
  return fields
}

const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('x login=root', 'a"b', 'a\nerror forged', '-', '', '\u202etxt', '\u2028', 'x\\', '\ud800', '=', ' '),
)

describe('a value comes back as it was', () => {
  test('in logfmt, on one line of printable characters', () => {
    fc.assert(
      fc.property(nasty, nasty, (login, token) => {
        const lines = logged((log) =>
          log.accounts([{ level: 'info', event: 'locked', fields: { login, token, by: null } }]),
        )
        expect(lines).toHaveLength(1)
        expect(lines[0]).toMatch(/^info locked login=/)
        expect(lines[0]).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
        expect(fieldsOf(lines[0] ?? '')).toEqual({ login, token, by: '-' })
      }),
    )
  })

  test('in JSON', () => {
    fc.assert(
      fc.property(nasty, (login) => {
        const lines = logged((log) => {
          log.use({ format: 'json', level: 'info', persons: 'login' })
          log.accounts([{ level: 'warn', event: 'refused', fields: { login, took_ms: 3 } }])
        })
        expect(lines).toHaveLength(1)
        expect(lines[0]).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
        expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'warn', message: 'refused', login, took_ms: 3 })
      }),
    )
  })
})

test('lines of accounts are all there, other ones are bounded', () => {
  const lines = logged((log) => {
    log.accounts(
      Array.from({ length: 1000 }, (_, at) => ({ level: 'info', event: 'locked', fields: { token: `S${at}` } })),
    )
    for (let each = 0; each < 1000; each++) log.info('talk')
  })
  expect(lines.filter((line) => line.startsWith('info locked'))).toHaveLength(1000)
  expect(lines.filter((line) => line === 'info talk').length).toBeLessThan(100)
})

test('what is less than the level is left out', () => {
  const lines = logged((log) => {
    log.use({ format: 'logfmt', level: 'warn', persons: 'login' })
    log.info('ready')
    log.accounts([
      { level: 'info', event: 'locked', fields: {} },
      { level: 'warn', event: 'refused', fields: {} },
    ])
    log.error('lost')
  })
  expect(lines).toEqual(['warn refused', 'error lost'])
})

test('with persons: account-id a line names no login, the owner’s own act among them', () => {
  const account = splitAccountKey('corp/0')?.key
  if (account === undefined) throw new RangeError('no account key')
  const entry: LogEntry = {
    event: 'locked',
    atMs: 0,
    account,
    login: 'alice',
    realm: 'r1',
    tokens: ['S1', 'S2'],
    reason: 'max-fail-count',
    by: 'alice@R1',
    tookMs: 16,
    change: 'lock',
  }
  expect(entryFields(entry, 'login')).toEqual({
    account: 'corp/0',
    login: 'alice',
    realm: 'r1',
    token: 'S1,S2',
    reason: 'max-fail-count',
    by: 'alice@R1',
    took_ms: 16,
  })
  expect(JSON.stringify(entryFields(entry, 'account-id'))).not.toMatch(/alice/i)
  expect(entryFields({ ...entry, by: 'admin@' }, 'account-id')).toMatchObject({ by: 'admin@' })
})

test('with account-id sentences are left out where they may name a person, and codes stay', () => {
  const write = (code: string): string => {
    const lines = logged((log) => {
      log.use({ format: 'logfmt', level: 'info', persons: 'account-id' })
      log.warn('it failed', { account: 'corp/1', code, reason: 'at uid=alice', hint: 'see alice', fix: 'unlock alice' })
    })
    return lines.join('')
  }
  expect(write('serial-conflict')).toBe('warn it failed account=corp/1 code=serial-conflict')
  expect(write('disk-full')).toContain('reason=')
})
