import { basename } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'ldapts'
import type { TokenEventKind } from '../src/core/events/event.ts'
import { runTool, type ToolResult } from '../test/servers/run-tool.ts'
import type { Slapd } from '../test/servers/ldap/slapd.ts'
import { REALM, type Instance } from './instance.ts'
import type { Narrator } from './narrator.ts'
import { dnOf, passwordOf } from './people.ts'

/** Where the day is played: a directory, a Lockstep, and somebody who tells the story and keeps count of the proofs. */
export interface Stage {
  readonly slapd: Slapd
  readonly instance: Instance
  readonly tell: Narrator
  /** Aborted when somebody wants to go: no further step is begun then, so that everything can be put away. */
  readonly leave: AbortSignal
  /** What was claimed and proved, and what was claimed and turned out to be wrong. */
  readonly proofs: { good: number; bad: number }
}

/** The part of an entry that the demo talks about. */
export interface EntryView {
  readonly locked: boolean
  readonly serials: readonly string[]
  readonly description: readonly string[]
}

/** Who made privacyIDEA tell: an administrator, or the user at a login. */
const BY_ADMIN = ['--logged_in_user', 'admin@', '--logged_in_role', 'admin'] as const
const BY_USER = ['--logged_in_user', 'none@none', '--logged_in_role', 'none'] as const

const APPLIED_WITHIN_MS = 15_000
const LOOK_EVERY_MS = 1
const PREFIX = 'privacyIDEA:'

/** The words that privacyIDEA 3.13's script handler passes; `none` where it knows no value. */
export function words(token: string, user: string, by: 'admin' | 'user'): string[] {
  const realm = user === 'none' ? 'none' : REALM
  return ['--serial', token, '--user', user, '--realm', realm, ...(by === 'admin' ? BY_ADMIN : BY_USER)]
}

/**
 * Runs a shim as privacyIDEA does, without looking at what becomes of the event.
 * @returns its exit code, and how long it took in milliseconds
 */
export async function callShim(
  stage: Stage,
  kind: TokenEventKind,
  args: readonly string[],
): Promise<{ readonly code: number; readonly elapsedMs: number }> {
  stage.leave.throwIfAborted()
  const shim = stage.instance.shimOf(kind)
  stage.tell.command([basename(shim), ...args])
  const startedAt = performance.now()
  const { code, stderr } = await runTool(shim, args)
  const elapsedMs = performance.now() - startedAt
  if (code !== 0) refute(stage, `the shim ended with code ${code}: ${stderr.trim()}`)
  return { code, elapsedMs }
}

/** Runs a shim, and waits until the directory shows what is expected of `uid`. Says how long that took. */
export async function playEvent(
  stage: Stage,
  kind: TokenEventKind,
  args: readonly string[],
  expected: { readonly uid: string; readonly what: string; readonly is: (entry: EntryView) => boolean },
): Promise<void> {
  await using reader = await openReader(stage)
  const startedAt = performance.now()
  const shim = await callShim(stage, kind, args)
  const seen = await reader.waitFor(expected.uid, expected.is)
  const tookMs = performance.now() - startedAt
  if (seen) prove(stage, `${expected.what}  [shim ${ms(shim.elapsedMs)}, event to directory ${ms(tookMs)}]`)
  else refute(stage, `not within ${APPLIED_WITHIN_MS / 1000} s: ${expected.what}`)
}

/** Waits until the directory shows what is expected of `uid`, counted from now. */
export async function expectSoon(
  stage: Stage,
  expected: { readonly uid: string; readonly what: string; readonly is: (entry: EntryView) => boolean },
  sinceMs: number = performance.now(),
): Promise<void> {
  await using reader = await openReader(stage)
  const seen = await reader.waitFor(expected.uid, expected.is)
  if (seen) prove(stage, `${expected.what}  [${ms(performance.now() - sinceMs)}]`)
  else refute(stage, `not within ${APPLIED_WITHIN_MS / 1000} s: ${expected.what}`)
}

interface Reader extends AsyncDisposable {
  waitFor(uid: string, is: (entry: EntryView) => boolean): Promise<boolean>
}

/** Watches one entry by reading it again and again, so that the demo knows when the directory changed. */
async function openReader(stage: Stage): Promise<Reader> {
  const client = new Client({ url: stage.slapd.url, timeout: APPLIED_WITHIN_MS, connectTimeout: APPLIED_WITHIN_MS })
  await client.bind(stage.slapd.adminDn, stage.slapd.adminPassword)
  return {
    waitFor: async (uid, is) => {
      const deadline = performance.now() + APPLIED_WITHIN_MS
      while (performance.now() < deadline) {
        if (is(await readEntry(client, dnOf(uid, stage.slapd.peopleDn)))) return true
        stage.leave.throwIfAborted()
        await pause(LOOK_EVERY_MS)
      }
      return false
    },
    [Symbol.asyncDispose]: () => client.unbind(),
  }
}

async function readEntry(client: Client, dn: string): Promise<EntryView> {
  const { searchEntries } = await client.search(dn, {
    scope: 'base',
    attributes: ['description', 'pwdAccountLockedTime'],
  })
  const entry = searchEntries[0]
  const description = [entry?.['description'] ?? []].flat().map(String)
  return {
    locked: [entry?.['pwdAccountLockedTime'] ?? []].flat().length > 0,
    description,
    serials: description.filter((value) => value.startsWith(PREFIX)).map((value) => value.slice(PREFIX.length)),
  }
}

/** Proves with `ldapwhoami` that a person can log in, or that the directory refuses with 49. */
export async function proveBind(stage: Stage, uid: string, expected: 'accepted' | 'refused'): Promise<void> {
  const dn = dnOf(uid, stage.slapd.peopleDn)
  const command = ['ldapwhoami', '-x', '-H', stage.slapd.url, '-D', dn, '-w', passwordOf(uid)]
  const finished = await runShown(stage, command)
  const holds = expected === 'accepted' ? finished.code === 0 : finished.code === 49
  const text = expected === 'accepted' ? `${uid} can log in` : `${uid} is refused, with the right password`
  if (holds) prove(stage, text)
  else refute(stage, `${text}: ldapwhoami ended with code ${finished.code}`)
}

/** Shows some attributes of a person with `ldapsearch`, and proves something about the answer. */
export async function proveEntry(
  stage: Stage,
  uid: string,
  attributes: readonly string[],
  claim: { readonly text: string; readonly holds: (answer: string) => boolean },
): Promise<void> {
  const answer = await searchEntry(stage, uid, attributes, 'shown')
  if (claim.holds(answer)) prove(stage, claim.text)
  else refute(stage, claim.text)
}

/** @returns what `ldapsearch` says of a person, as LDIF */
export async function searchEntry(
  stage: Stage,
  uid: string,
  attributes: readonly string[],
  how: 'shown' | 'quiet',
): Promise<string> {
  const { url, adminDn, adminPassword } = stage.slapd
  const command = [
    'ldapsearch',
    '-LLL',
    '-x',
    '-H',
    url,
    '-D',
    adminDn,
    '-w',
    adminPassword,
    '-b',
    stage.slapd.peopleDn,
  ]
  const whole = [...command, `(uid=${uid})`, ...attributes]
  return (await (how === 'shown' ? runShown(stage, whole) : run(stage, whole))).stdout
}

/** Runs a command, and shows it and what it answered. */
export async function runShown(stage: Stage, command: readonly string[]): Promise<ToolResult> {
  stage.tell.command(command)
  const finished = await run(stage, command)
  stage.tell.answer(finished.stdout + finished.stderr)
  return finished
}

function run(stage: Stage, [program = '', ...args]: readonly string[]): Promise<ToolResult> {
  stage.leave.throwIfAborted()
  return runTool(program, args)
}

/** Runs the program, without showing it. */
export function lockstep(stage: Stage, ...args: readonly string[]): Promise<ToolResult> {
  stage.leave.throwIfAborted()
  return stage.instance.cli(...args)
}

export function prove(stage: Stage, text: string): void {
  stage.proofs.good++
  stage.tell.proved(text)
}

export function refute(stage: Stage, text: string): void {
  stage.proofs.bad++
  stage.tell.refuted(text)
}

export function ms(value: number): string {
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`
}
