import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  callShim,
  expectSoon,
  lockstep,
  ms,
  playEvent,
  prove,
  proveBind,
  proveEntry,
  refute,
  runShown,
  searchEntry,
  words,
  type EntryView,
  type Stage,
} from './stage.ts'

/** The tokens of the day. Carol has two, as people with a phone and a key fob do. */
const ALICE = 'OATH00A11CE1'
const BOB = 'TOTP0000B0B2'
const CAROL_FOB = 'OATH00CA4013'
const CAROL_PHONE = 'TOTP00CA4014'
const DAVE = 'OATH0000DA5E'
const ERIN = 'TOTP0000E416'

const locked = (entry: EntryView): boolean => entry.locked
const open = (entry: EntryView): boolean => !entry.locked

/** The scenes in their order; each prints what it does and proves what it claims. */
export const DAY: readonly ((stage: Stage) => Promise<void>)[] = [
  enrollment,
  maxFailCount,
  wrongPin,
  reset,
  deletion,
  byHand,
  directoryDown,
  evening,
]

async function enrollment(stage: Stage): Promise<void> {
  stage.tell.scene('Enrolment: an administrator gives out tokens')
  const given = [
    ['alice', ALICE],
    ['bob', BOB],
    ['carol', CAROL_FOB],
    ['carol', CAROL_PHONE],
    ['dave', DAVE],
    ['erin', ERIN],
  ] as const
  for (const [uid, serial] of given) {
    await playEvent(stage, 'register', words(serial, uid, 'admin'), {
      uid,
      what: `${serial} stands at ${uid}'s account`,
      is: (entry) => entry.serials.includes(serial),
    })
  }
  await proveEntry(stage, 'carol', ['description'], {
    text: 'both of her serials stand beside what was there before',
    holds: (answer) => ['Room 103', CAROL_FOB, CAROL_PHONE].every((value) => answer.includes(value)),
  })
  await proveBind(stage, 'alice', 'accepted')
}

async function maxFailCount(stage: Stage): Promise<void> {
  stage.tell.scene('Three wrong one-time passwords: the token of alice reaches its max fail count')
  await playEvent(stage, 'lock', words(ALICE, 'alice', 'user'), { uid: 'alice', what: 'alice is locked', is: locked })
  await proveBind(stage, 'alice', 'refused')
  await proveEntry(stage, 'alice', ['pwdAccountLockedTime'], {
    text: 'the lock is the value that keeps somebody out until it is taken away',
    holds: (answer) => answer.includes('pwdAccountLockedTime: 000001010000Z'),
  })
  await proveWaiting(stage, ALICE, true)
  stage.tell.tree(stage.instance.ldifDir, 'The LDIF folders now:')
  stage.tell.say('privacyIDEA tells it again at every further attempt; once is enough:')
  const before = await searchEntry(stage, 'alice', ['entryCSN'], 'quiet')
  await callShim(stage, 'lock', words('none', 'alice', 'user'))
  await settle(stage)
  await proveEntry(stage, 'alice', ['entryCSN'], {
    text: 'nothing was written a second time',
    holds: (answer) => answer === before,
  })
}

async function wrongPin(stage: Stage): Promise<void> {
  stage.tell.scene('Wrong PINs: privacyIDEA names the user, but no token')
  await playEvent(stage, 'lock', words('none', 'bob', 'user'), { uid: 'bob', what: 'bob is locked', is: locked })
  await proveBind(stage, 'bob', 'refused')
  stage.tell.say('Bob has one token, so the way back waits under its serial:')
  await proveWaiting(stage, BOB, true)
}

async function reset(stage: Stage): Promise<void> {
  stage.tell.scene('The help desk resets the fail counters: one event without a user, one with')
  await playEvent(stage, 'unlock', words(ALICE, 'none', 'admin'), { uid: 'alice', what: 'alice is back', is: open })
  await proveBind(stage, 'alice', 'accepted')
  await playEvent(stage, 'unlock', words(BOB, 'bob', 'admin'), { uid: 'bob', what: 'bob is back', is: open })
  await proveBind(stage, 'bob', 'accepted')
  await settle(stage)
  await proveWaiting(stage, ALICE, false)
}

async function deletion(stage: Stage): Promise<void> {
  stage.tell.scene('Carol is locked out, and an administrator deletes both of her tokens in one go')
  await playEvent(stage, 'lock', words('none', 'carol', 'user'), { uid: 'carol', what: 'carol is locked', is: locked })
  await proveBind(stage, 'carol', 'refused')
  await playEvent(stage, 'unregister', words(`${CAROL_PHONE},${CAROL_FOB}`, 'none', 'admin'), {
    uid: 'carol',
    what: 'both serials are gone, and so is the lock',
    is: (entry) => entry.serials.length === 0 && !entry.locked,
  })
  await proveEntry(stage, 'carol', ['description'], {
    text: 'what was there before the tokens is there still',
    holds: (answer) => answer.includes('description: Room 103') && !answer.includes('privacyIDEA:'),
  })
  await proveBind(stage, 'carol', 'accepted')
  stage.tell.say('One token is unassigned from erin, and enrolled again:')
  await playEvent(stage, 'unregister', words(ERIN, 'erin', 'admin'), {
    uid: 'erin',
    what: `${ERIN} is gone from erin's account`,
    is: (entry) => entry.serials.length === 0,
  })
  await playEvent(stage, 'register', words(ERIN, 'erin', 'admin'), {
    uid: 'erin',
    what: `${ERIN} is back`,
    is: (entry) => entry.serials.includes(ERIN),
  })
}

const WHOLE_ENTRY = ['*', 'pwdAccountLockedTime'] as const

async function byHand(stage: Stage): Promise<void> {
  const { instance, slapd, tell } = stage
  tell.scene('Lockstep dies while dave is locked: the account comes back by hand')
  const before = await searchEntry(stage, 'dave', WHOLE_ENTRY, 'quiet')
  await playEvent(stage, 'lock', words(DAVE, 'dave', 'user'), { uid: 'dave', what: 'dave is locked', is: locked })
  await proveBind(stage, 'dave', 'refused')
  await instance.stop('SIGKILL')
  tell.say('(kill -9: Lockstep is dead)')
  const file = join(instance.ldifDir, 'unlock', `${DAVE}.ldif`)
  tell.command(['cat', file])
  tell.answer(await readFile(file, 'utf8'))
  const modify = ['ldapmodify', '-x', '-H', slapd.url, '-D', slapd.adminDn, '-w', slapd.adminPassword, '-f', file]
  const finished = await runShown(stage, modify)
  if (finished.code !== 0) refute(stage, `ldapmodify ended with code ${finished.code}`)
  await proveBind(stage, 'dave', 'accepted')
  if ((await searchEntry(stage, 'dave', WHOLE_ENTRY, 'quiet')) === before)
    prove(stage, 'his entry is what it was before')
  else refute(stage, 'his entry is what it was before')
  tell.say('An event comes in while nobody is there to hear it:')
  await callShim(stage, 'lock', words(ERIN, 'erin', 'user'))
  const { readyMs } = await instance.serve()
  tell.say(`(lockstep serve is started again, and ready after ${ms(readyMs)})`)
  await expectSoon(stage, { uid: 'erin', what: 'the event was not lost: erin is locked', is: locked })
  await settle(stage)
  await proveWaiting(stage, DAVE, false)
  await proveBind(stage, 'dave', 'accepted')
  await playEvent(stage, 'unlock', words(ERIN, 'none', 'admin'), { uid: 'erin', what: 'erin is back', is: open })
}

async function directoryDown(stage: Stage): Promise<void> {
  const { slapd, tell } = stage
  tell.scene('The directory is down when an event comes')
  await slapd.stop()
  tell.say('(slapd is stopped)')
  const shim = await callShim(stage, 'lock', words(BOB, 'bob', 'user'))
  if (shim.code === 0) prove(stage, `privacyIDEA does not wait: the event was taken in ${ms(shim.elapsedMs)}`)
  await slapd.start()
  tell.say('(slapd is started again)')
  await expectSoon(stage, { uid: 'bob', what: 'bob was locked as soon as the directory was back', is: locked })
  await proveBind(stage, 'bob', 'refused')
  await playEvent(stage, 'unlock', words(BOB, 'none', 'admin'), { uid: 'bob', what: 'bob is back', is: open })
  await proveBind(stage, 'bob', 'accepted')
}

async function evening(stage: Stage): Promise<void> {
  stage.tell.scene('Evening: everything is on record')
  await settle(stage)
  for (const args of [['status'], ['show', 'dave'], ['journal', '--verify']]) {
    stage.tell.command(['lockstep', ...args])
    const finished = await lockstep(stage, ...args)
    stage.tell.answer(finished.stdout + finished.stderr)
    if (finished.code === 0) prove(stage, `lockstep ${args.join(' ')}`)
    else refute(stage, `lockstep ${args.join(' ')} ended with code ${finished.code}`)
  }
  stage.tell.tree(stage.instance.ldifDir, 'The LDIF folders at the end of the day:')
}

/** Waits until nothing waits any more; `lockstep drain` may run beside the daemon. */
async function settle(stage: Stage): Promise<void> {
  const drained = await lockstep(stage, 'drain', '--timeout', '15s')
  if (drained.code !== 0) refute(stage, `lockstep drain ended with code ${drained.code}: ${drained.stderr.trim()}`)
}

/** Proves that the way back of a serial waits in `unlock/`, or waits no more. */
async function proveWaiting(stage: Stage, serial: string, waits: boolean): Promise<void> {
  const file = join(stage.instance.ldifDir, 'unlock', `${serial}.ldif`)
  const there = await access(file).then(
    () => true,
    () => false,
  )
  const text = waits ? `unlock/${serial}.ldif waits` : `unlock/${serial}.ldif waits no more`
  if (there === waits) prove(stage, text)
  else refute(stage, text)
}
