import { DatabaseSync } from 'node:sqlite'
import { systemClock } from '../src/ports/clock.ts'
import { openStore } from '../src/store/store.ts'
import { entryIdOf, loginOf, serialOf } from './accounts.ts'

/**
 * Fills a store with what a first resync and its repair leave behind: each account with its owner, its token and the
 * event that registered it. Through Lockstep itself that would take minutes.
 */
export async function fillStore(storeFile: string, count: number, peopleDn: string): Promise<void> {
  const options = { file: storeFile, clock: systemClock, lockTtlMs: null, willWrite: true }
  await (await openStore(options))[Symbol.asyncDispose]()
  const db = new DatabaseSync(storeFile)
  try {
    const nowMs = Date.now()
    const account = db.prepare(
      `insert into account (key, directory, dn, login, realm, resolver, user_id, standing, standing_reason, hold_count,
       seen_ms, updated_ms) values (?, 'corp', ?, ?, 'r1', 'ldap1', ?, 'in-step', '', 0, 0, ?)`,
    )
    const token = db.prepare(
      "insert into token (serial, account_key, is_locked, reset_due, run, source_id, resolver, user_id) values (?, ?, 0, 0, 0, ?, 'ldap1', ?)",
    )
    const event = db.prepare(
      `insert into event (id, kind, serial, actor, taken_at_us, received_ms, source, reason, state, live, account_key,
       attribute_serials, why, attempts) values (?, 'register', ?, '', ?, ?, 'privacyidea', '', 'resolved', 1, ?, '[]', '', 0)`,
    )
    db.exec('begin')
    for (let index = 1; index <= count; index++) {
      const [key, serial] = [`corp/${entryIdOf(index)}`, serialOf(index)]
      account.run(key, `uid=${loginOf(index)},${peopleDn}`, loginOf(index), entryIdOf(index), nowMs)
      token.run(serial, key, index, entryIdOf(index))
      event.run(`privacyidea:${index}`, serial, nowMs * 1000, nowMs, key)
    }
    db.exec('commit')
  } finally {
    db.close()
  }
}
