import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { startMailSink } from '../../servers/mail/mail-sink.ts'
import { slapd, slapdTest as test } from '../../support/fixture.ts'
import { startLockstep } from '../../support/lockstep.ts'
import { HELP_DESK, mailYaml } from './mail-fixture.ts'
import { asNobody } from '../../support/privacyidea-arguments.ts'

/** A mass lock-out, such as an attack on every account. LOCKSTEP_MAIL_STORM=10000 is the one that was measured. */

const ACCOUNTS = Number(process.env['LOCKSTEP_MAIL_STORM'] ?? '120')
/** So many locks a minute; few of them are told of within seconds. */
const SECONDS = Math.max(2, Math.min(60, ACCOUNTS / 170))
const RSS_MIB_MAX = 256

/** The most memory that the daemon and the process that sends its mail had so far, in MiB. */
function peaks(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  return [String(pid), ...children].map((each) => {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${each}/status`, 'utf8'))?.[1]) / 1024
  })
}

test.override('slapdOptions', { users: ACCOUNTS })

test(
  `${ACCOUNTS} locks are two mails to the help desk and one to each owner, and a restart adds none`,
  async () => {
    await using sink = await startMailSink()
    const limits = `limits: { gather: ${Math.ceil(SECONDS / 4)}s, interval: ${Math.ceil(SECONDS * 1.5)}s, perSecond: 50 }`
    await using lockstep = await startLockstep(slapd, { yaml: mailYaml(sink, [limits]) })
    const startedMs = performance.now()
    let spooled = 0
    await eventually(
      'all were locked',
      () => {
        const due = Math.min(ACCOUNTS, Math.ceil(((performance.now() - startedMs) / 1_000 / SECONDS) * ACCOUNTS))
        while (spooled < due)
          lockstep.spool({ kind: 'lock', args: asNobody(null, `u${++spooled}`), takenAtMs: Date.now() })
        return spooled === ACCOUNTS
      },
      120_000,
    )
    await lockstep.settled(180_000)
    const lockedS = (performance.now() - startedMs) / 1_000
    const peaksMib = [...peaks(lockstep.pid)]
    await lockstep.restart()
    await eventually('every owner was told', () => sink.count() >= ACCOUNTS, 500_000)
    const isAllSent = async (): Promise<boolean> => {
      const { states } = await lockstep.json<{ states: Record<string, number> }>('mail', 'list', '--limit', '1')
      return states['waiting'] === undefined && states['gathering'] === undefined
    }
    await eventually('nothing waits any more', isAllSent, 200_000)
    const told = new Map<string, number>()
    const mails = sink.mails()
    for (const { to } of mails) told.set(to, (told.get(to) ?? 0) + 1)
    peaksMib.push(...peaks(lockstep.pid))
    const desk = mails.filter(({ to }) => to === HELP_DESK)
    console.log(
      `${ACCOUNTS} locks in ${lockedS.toFixed(0)} s, ${desk.length} mails to the help desk, ` +
        `all sent after ${((performance.now() - startedMs) / 1_000).toFixed(0)} s, peaks ${peaksMib.map((mib) => mib.toFixed(0)).join(', ')} MiB`,
    )
    expect(desk.length).toBeLessThanOrEqual(2)
    const counted = desk.map(({ subject }) => Number(/([\d,]+) accounts? locked/.exec(subject)?.[1]?.replace(',', '')))
    expect(counted.reduce((sum, count) => sum + count, 0)).toBe(ACCOUNTS)
    told.delete(HELP_DESK)
    expect(told.size).toBe(ACCOUNTS)
    expect(Math.max(...told.values())).toBe(1)
    expect(Math.max(...peaksMib)).toBeLessThan(RSS_MIB_MAX)
  },
  Math.max(60_000, ACCOUNTS * 120),
)
