import { expect, test } from 'vitest'
import { personBy } from '../../src/cli/process/person.ts'

/** Who acts: one answer for every command. */

const NAMES: Readonly<Record<number, string>> = { 0: 'root', 1000: 'alice', 999: 'lockstep' }
const nameOf = (uid: number): string => NAMES[uid] ?? `uid ${uid}`

test.each([
  ['whom the kernel says logged in, over sudo', { loginUid: 1000, sudoUser: 'bob', uid: 0 }, 'alice'],
  ['whom the kernel says logged in, over su', { loginUid: 1000, sudoUser: '', uid: 0 }, 'alice'],
  ['one behind sudo where nobody logged in', { loginUid: null, sudoUser: 'bob', uid: 0 }, 'bob'],
  ['the user that called it, also root', { loginUid: null, sudoUser: '', uid: 0 }, 'root'],
  ['a user without a name', { loginUid: 4711, sudoUser: '', uid: 0 }, 'uid 4711'],
  ['nobody on a system without users', { loginUid: null, sudoUser: '', uid: null }, 'unknown'],
] as const)('%s', (_name, signs, person) => {
  expect(personBy({ ...signs, nameOf })).toBe(person)
})
