import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

/** Where serials are compared as they are spelled, and why that is right there. */
const EXACT: Readonly<Record<string, string>> = {
  'core/serial-key.ts': 'the very spelling goes before others',
  'core/serial-spelling.ts': 'it decides which spellings mean one token',
  'core/serial-values.ts': 'known twins compare exactly',
  'core/fold.ts': 'after oneSpelling a token has one spelling',
  'core/plan.ts': 'known twins compare exactly',
  'core/truth.ts': 'as privacyIDEA lists it',
  'core/rehearsal.ts': 'known twins compare exactly',
  'daemon/rebuild.ts': 'a store is lost: two spellings at two accounts are taken for two tokens, which the fold judges',
  'daemon/shown-tokens.ts': 'rows of `token`, as privacyIDEA lists it; the very spelling goes before others',
  'intake/hint.ts': 'doublets within one hint; the fold makes them one',
  'ports/mirror.ts': 'as privacyIDEA lists it',
  'ports/resync.ts': 'as privacyIDEA lists it',
  'ports/store.ts': 'as privacyIDEA lists it',
  'reconcile/account/carriers.ts': 'members of the same list',
  'reconcile/log-tail.ts': 'doublets; privacyIDEA is asked about each',
  'reconcile/mirror-view.ts': 'as privacyIDEA lists it',
  'reconcile/mirror.ts': 'as privacyIDEA lists it',
  'reconcile/resolve.ts': 'the very spelling goes before others',
  'reconcile/resync-marks.ts': 'the spelling was found among those that privacyIDEA lists',
  'reconcile/resync-tokens.ts': 'as privacyIDEA lists it',
  'reconcile/scan.ts': 'as privacyIDEA lists it',
  'reconcile/truth.ts': 'as privacyIDEA lists it; what events held is respelled first',
  'store/loss-breaker.ts': 'rows of `token`, as privacyIDEA lists it',
  'store/losses.ts': 'rows of `token`, as privacyIDEA lists it',
  'store/mirror.ts': 'as privacyIDEA lists it',
  'store/resync-statements.ts': 'rows of `token`, as privacyIDEA lists it',
  'store/resync.ts': 'rows of `token`, as privacyIDEA lists it',
  'store/serial-lookups.ts': 'known twins compare exactly',
  'store/inbox.ts': 'the very spelling of the events of one commit',
  'store/unplaced.ts': 'as privacyIDEA lists it',
  'store/upkeep.ts': 'after oneSpelling a token has one spelling',
  'store/truth.ts': 'rows of `token`, as privacyIDEA lists it',
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

const SRC = fileURLToPath(new URL('../../src/', import.meta.url))

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
  expect(unexplained, 'compare with isSameSerial, spelledAmong or serialKey (core/serial-key.ts)').toEqual([])
  expect(Object.keys(EXACT).filter((name) => !found.has(name))).toEqual([])
})
