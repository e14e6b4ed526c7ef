import { test as plain } from 'vitest'
import { startSlapd, type Slapd, type SlapdOptions } from '../servers/ldap/slapd.ts'
import { resetPeople } from './account-view.ts'
import { createLockstep, startLockstep, type Lockstep, type LockstepOptions } from './lockstep.ts'

/**
 * The servers of the tests of the whole program. They start with the first test of a file and are stopped after its last one, also
 * where tests fail. A file sets its options at its top: `test.override('slapdOptions', { users: 40 })`.
 *
 * What a test and the functions beside it work with is exported as it is now: vitest loads this module anew for each file.
 */

/** The directory of the file. */
export let slapd: Slapd
/** The instance of the file, with its daemon; of `lockstepTest` alone. */
export let lockstep: Lockstep
/** What else the tests of the file share: closed after the last one, before the directory. */
export let shared: AsyncDisposableStack
/** The login of somebody whom no test of the file has used yet; another one in each test. */
export let user: string
/** Closed after the test. */
export let opened: AsyncDisposableStack

let users = 0
/** `u1` to `uN`. */
let people: readonly string[] = []
let isResetDue = false

/** A further login that nobody has used yet. */
export function newUser(): string {
  return `u${++users}`
}

/** An instance of the test's own, with its daemon. After the test all people have no serial and no lock again. @param directory that of the file, also behind another address */
export async function startOwn(options: LockstepOptions = {}, directory: Slapd = slapd): Promise<Lockstep> {
  isResetDue = true
  return opened.use(await startLockstep(directory, options))
}

/** Likewise, with no daemon yet. */
export async function createOwn(options: LockstepOptions = {}): Promise<Lockstep> {
  isResetDue = true
  return opened.use(await createLockstep(slapd, options))
}

/** Closes what the test opened so far, as it is closed after the test. */
export async function closeOpened(): Promise<void> {
  await opened.disposeAsync()
  opened = new AsyncDisposableStack()
  if (isResetDue) await resetPeople(slapd, people)
  isResetDue = false
}

/** With a directory for all tests of the file. */
export const slapdTest = plain
  .extend('slapdOptions', { scope: 'file' }, { users: 20 } as SlapdOptions & { readonly users: number })
  .extend('slapd', { scope: 'file', auto: true }, async ({ slapdOptions }, { onCleanup }) => {
    people = Array.from({ length: slapdOptions.users }, (_, at) => `u${at + 1}`)
    slapd = await startSlapd({ dbNoSync: true, ...slapdOptions })
    onCleanup(() => slapd[Symbol.asyncDispose]())
    return slapd
  })
  .extend('shared', { scope: 'file', auto: true }, async ({ slapd: _before }, { onCleanup }) => {
    shared = new AsyncDisposableStack()
    onCleanup(() => shared.disposeAsync())
    return shared
  })
  .extend('user', { auto: true }, () => (user = newUser()))
  .extend('opened', { auto: true }, ({ slapd: _before }, { onCleanup }) => {
    opened = new AsyncDisposableStack()
    onCleanup(closeOpened)
    return opened
  })

/** With a directory, and an instance and its daemon, for all tests of the file. */
export const lockstepTest = slapdTest
  .extend('lockstepOptions', { scope: 'file' }, {} as LockstepOptions)
  .extend('lockstep', { scope: 'file', auto: true }, async ({ slapd, lockstepOptions }, { onCleanup }) => {
    lockstep = await startLockstep(slapd, lockstepOptions)
    onCleanup(() => lockstep[Symbol.asyncDispose]())
    return lockstep
  })
