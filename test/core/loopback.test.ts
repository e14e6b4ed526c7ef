import { expect, test } from 'vitest'
import { isLoopback } from '../../src/core/loopback.ts'
import { mayBePlain } from '../../src/notify/smtp.ts'

const HERE = ['localhost', '127.0.0.1', '127.255.0.9', '::1', '[::1]']
const ELSEWHERE = [
  '127.example.org',
  '127.0.0.1.example.org',
  '127.0.0.256',
  '127.1',
  '128.0.0.1',
  '::2',
  'localhost.example.org',
  '',
]

test('this machine is known by its addresses, and no name that begins like one is taken for it', () => {
  for (const host of HERE) expect(isLoopback(host), host).toBe(true)
  for (const host of ELSEWHERE) expect(isLoopback(host), host).toBe(false)
})

test('mail goes without TLS to this machine alone, unless somebody wrote that it may', () => {
  const settings = {
    port: 25,
    isSecure: false,
    startTls: 'required',
    caFile: null,
    tlsServerName: null,
    login: null,
    connectTimeoutMs: 1,
    timeoutMs: 1,
  } as const
  for (const host of HERE) expect(mayBePlain({ ...settings, host }), host).toBe(true)
  for (const host of ELSEWHERE) expect(mayBePlain({ ...settings, host }), host).toBe(false)
  expect(mayBePlain({ ...settings, host: '127.0.0.1', caFile: '/ca.pem' })).toBe(false)
  expect(mayBePlain({ ...settings, host: 'mail.example.org', startTls: 'off' })).toBe(true)
})
