import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { endProcess } from '../scripts/end-process.ts'
import type { Slapd } from '../test/servers/ldap/slapd.ts'

const SEEN_WITHIN_MS = 30_000

/**
 * Sees each lock when it is in the slapd. slapd itself tells, by content synchronisation (RFC 4533, the stock
 * `ldapsearch -E sync=rp`): it sends a changed entry once the change is committed. Nothing polls, so that nothing takes
 * time from what is measured; the price is that the time includes slapd's sending and ldapsearch's printing.
 */
export interface LockWatcher extends AsyncDisposable {
  /** When the lock of `login` was seen, in milliseconds since 1970. To be called before the event is made. */
  nextLock(login: string): Promise<number>
}

/** What slapd needs for it. */
export const WATCHABLE = { globalConfig: 'moduleload syncprov', databaseConfig: 'overlay syncprov' } as const

export async function watchLocks(slapd: Slapd): Promise<LockWatcher> {
  const who = ['-D', slapd.adminDn, '-w', slapd.adminPassword]
  const what = ['-b', slapd.peopleDn, '-E', '!sync=rp', '(pwdAccountLockedTime=*)', 'uid']
  const child = spawn('ldapsearch', ['-LLL', '-x', '-H', slapd.url, ...who, ...what], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const waiting = new Map<string, (seenAt: number) => void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('uid: ')) return
    const login = line.slice('uid: '.length)
    waiting.get(login)?.(performance.timeOrigin + performance.now())
    waiting.delete(login)
  })
  const nextLock = (login: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${login} was not locked within 30 s`)), SEEN_WITHIN_MS)
      waiting.set(login, (seenAt) => {
        clearTimeout(timer)
        resolve(seenAt)
      })
    })
  return { nextLock, [Symbol.asyncDispose]: () => endProcess(child, 'SIGTERM') }
}
