import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

/** Where serials are compared as they are spelled, and why that is right there. */
const EXACT: Readonly<Record<string, string>> = {
  'core/serials/serial-key.ts': 'the very spelling goes before others',
  'core/serials/serial-spelling.ts': 'it decides which spellings mean one token',
  'core/account/serial-values.ts': 'known twins compare exactly',
  'core/account/fold.ts': 'after oneSpelling a token has one spelling',
  'core/account/plan.ts': 'known twins compare exactly',
  'core/source/snapshot.ts': 'as privacyIDEA lists it',
  'core/source/rehearsal.ts': 'known twins compare exactly',
  'operations/rebuild/rebuild.ts':
    'a store is lost: two spellings at two accounts are taken for two tokens, which the fold judges',
  'operations/accounts/shown-tokens.ts':
    'rows of `token`, as privacyIDEA lists it; the very spelling goes before others',
  'intake/event-fields.ts': 'doublets within one hint; the fold makes them one',
  'ports/store/mirror.ts': 'as privacyIDEA lists it',
  'ports/store/resync.ts': 'as privacyIDEA lists it',
  'ports/store/store.ts': 'as privacyIDEA lists it',
  'reconcile/duplicate-serials.ts': 'members of the same list',
  'reconcile/source/log-tail.ts': 'doublets; privacyIDEA is asked about each',
  'reconcile/mirror/mirror-view.ts': 'as privacyIDEA lists it',
  'reconcile/mirror/mirror.ts': 'as privacyIDEA lists it',
  'reconcile/resolve.ts': 'the very spelling goes before others',
  'reconcile/source/resync-marks.ts': 'the spelling was found among those that privacyIDEA lists',
  'reconcile/source/resync-tokens.ts': 'as privacyIDEA lists it',
  'reconcile/source/scan.ts': 'as privacyIDEA lists it',
  'reconcile/source/snapshot.ts': 'as privacyIDEA lists it; what events held is respelled first',
  'store/decisions/loss-breaker.ts': 'rows of `token`, as privacyIDEA lists it',
  'store/decisions/losses.ts': 'rows of `token`, as privacyIDEA lists it',
  'store/accounts/mirror.ts': 'as privacyIDEA lists it',
  'store/source/resync-statements.ts': 'rows of `token`, as privacyIDEA lists it',
  'store/source/resync.ts': 'rows of `token`, as privacyIDEA lists it',
  'store/accounts/serial-lookups.ts': 'known twins compare exactly',
  'store/events/inbox.ts': 'the very spelling of the events of one commit',
  'store/source/unplaced.ts': 'as privacyIDEA lists it',
  'store/events/maintenance.ts': 'after oneSpelling a token has one spelling',
  'store/source/snapshots.ts': 'rows of `token`, as privacyIDEA lists it',
}

/** A comparison, a search or a collection of serials by their spelling. */
const UNFOLDED = [
  /\b(?:[a-z]+\.)?[a-z]*[sS]erial\b(?:\)|\])* (?:===|!==) (?!null|undefined|'')/,
  /(?:===|!==) (?:[a-zA-Z]+\.)?[a-z]*[sS]erial\b(?!s)/,
  /[sS]erials\b[^;]*\.(?:includes|indexOf|has)\(/,
  /\.(?:includes|indexOf)\((?:[a-zA-Z]+\.)?serial\)/,
  /(?:Map|Set)<Serial\b/,
  /'(?:[a-z]+\.)?serial', (?:'='|'in')/,
]

const SRC = fileURLToPath(new URL('../../../src/', import.meta.url))

test('serials are compared by their key, but for places that say why not', () => {
  const found = new Set<string>()
  const unexplained: string[] = []
  for (const name of readdirSync(SRC, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue
    const lines = readFileSync(join(SRC, name), 'utf8').split('\n')
    lines.forEach((line, at) => {
      if (/^\s*(?:\*|\/\/|\/\*\*)/.test(line) || !UNFOLDED.some((pattern) => pattern.test(line))) return
      found.add(name)
      if (EXACT[name] === undefined) unexplained.push(`${name}:${at + 1}: ${line.trim()}`)
    })
  }
  expect(unexplained, 'compare with isSameSerial, spelledAmong or serialKey (core/serials/serial-key.ts)').toEqual([])
  expect(Object.keys(EXACT).filter((name) => !found.has(name))).toEqual([])
})
