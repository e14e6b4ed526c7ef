import { parseArgs } from 'node:util'
import { startSlapd } from '../test/servers/ldap/slapd.ts'
import { makeTempDir } from '../test/servers/temp-dir.ts'
import { DAY } from './day.ts'
import { createInstance } from './instance.ts'
import { openNarrator, quoted, type Narrator } from './narrator.ts'
import { PEOPLE, passwordOf, peopleLdif } from './people.ts'
import { ms, type Stage } from './stage.ts'

const USAGE = `usage: npm run demo [-- --keep]

Plays a day of Lockstep against a throw-away OpenLDAP with ${PEOPLE.length} people.
  --keep   leave it running afterwards, to play with; Ctrl-C ends it
`
const EXIT_FAILED = 1
const EXIT_USAGE = 64
const EXIT_INTERRUPTED = 130

async function main(): Promise<number> {
  const options = readOptions()
  if (typeof options === 'number') return options
  const tell = openNarrator(process.stdout)
  const leave = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      tell.say(`(${signal}: putting everything away)`)
      leave.abort()
    })
  }
  // The reader of the story went away (`| head`): there is nobody to tell it to.
  process.stdout.on('error', () => leave.abort())
  try {
    await using resources = new AsyncDisposableStack()
    return await play(await openStage(tell, leave.signal, resources), options.keep)
  } catch (error) {
    if (leave.signal.aborted) return EXIT_INTERRUPTED
    throw error
  }
}

function readOptions(): { keep: boolean } | number {
  try {
    const { values } = parseArgs({ options: { keep: { type: 'boolean' }, help: { type: 'boolean' } } })
    if (values.help !== true) return { keep: values.keep === true }
    process.stdout.write(USAGE)
    return 0
  } catch (error) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n${USAGE}`)
    return EXIT_USAGE
  }
}

/** Starts the directory and Lockstep. What was opened goes to `resources`, also when it ends half-way. */
async function openStage(tell: Narrator, leave: AbortSignal, resources: AsyncDisposableStack): Promise<Stage> {
  tell.title('Lockstep: a day in the life of a few tokens')
  const { path: dir } = resources.use(await makeTempDir('demo'))
  const startedAt = performance.now()
  const slapd = resources.use(await startSlapd({ users: 0, extraLdif: peopleLdif('ou=people,dc=example,dc=org') }))
  tell.say(`A throw-away OpenLDAP with ${PEOPLE.length} people listens on ${slapd.url}  [${since(startedAt)}]`)
  const instance = resources.use(await createInstance(dir, slapd))
  tell.say(`The four shims stand in ${instance.shimDir}`)
  const { pid, readyMs } = await instance.serve()
  tell.say(`lockstep serve runs as process ${pid}  [ready after ${ms(readyMs)}]`)
  return { slapd, instance, tell, leave, proofs: { good: 0, bad: 0 } }
}

function since(startedAt: number): string {
  return ms(performance.now() - startedAt)
}

async function play(stage: Stage, keep: boolean): Promise<number> {
  const startedAt = performance.now()
  for (const scene of DAY) await scene(stage)
  const { good, bad } = stage.proofs
  const took = `${((performance.now() - startedAt) / 1000).toFixed(1)} s`
  stage.tell.say('')
  if (bad === 0) stage.tell.proved(`all ${good} claims were proved, in ${took}`)
  else stage.tell.refuted(`${bad} of ${good + bad} claims did not hold`)
  if (keep) await leaveOpen(stage)
  else printNext(stage.tell)
  return bad === 0 ? 0 : EXIT_FAILED
}

function printNext(tell: Narrator): void {
  tell.scene('What to try next')
  tell.say('npm run demo -- --keep            leaves it running, for the shims and the CLI by hand')
  tell.say('npx lockstep --help               every command')
  tell.say('npx lockstep init                 writes a lockstep.yaml for your directory')
  tell.say('npx lockstep doctor --probe NAME  finds what would fail, before the first lock')
  tell.say('docs/how-to/openldap.md           access rules and password policy for OpenLDAP')
}

/** Prints what is needed to play by hand, and waits for a signal. */
async function leaveOpen(stage: Stage): Promise<void> {
  const { tell, instance, slapd } = stage
  tell.scene('It is yours now; Ctrl-C ends it and puts everything away')
  tell.say('In another terminal, in this folder:')
  tell.answer(
    [
      `export LOCKSTEP_CONFIG=${quoted(instance.configFile)}`,
      `export PATH=${quoted(instance.shimDir)}:"$PATH"`,
      `lockstep-lock --serial none --user frank --realm example`,
      `npx lockstep status`,
      `ldapwhoami -x -H ${slapd.url} -D uid=frank,${slapd.peopleDn} -w ${passwordOf('frank')}`,
      `lockstep-unlock --serial none --user frank --realm example`,
      `npx lockstep lock grace --reason "left her laptop on the train" --for 2h`,
      `npx lockstep show grace`,
      `ls ${quoted(instance.ldifDir)}/*`,
    ].join('\n'),
  )
  tell.say(`The people: ${PEOPLE.map((person) => person.uid).join(' ')}`)
  tell.say(
    `Their passwords: ${passwordOf('NAME')}; the directory's administrator: ${slapd.adminDn}, ${slapd.adminPassword}`,
  )
  tell.say(`The daemon's log: ${instance.logFile}`)
  await untilAborted(stage.leave)
}

function untilAborted(signal: AbortSignal): Promise<void> {
  // A waiting promise keeps no process alive; a timer does.
  const timer = setInterval(() => undefined, 60_000)
  return new Promise((resolve) => {
    const end = (): void => {
      clearInterval(timer)
      resolve()
    }
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
}

try {
  process.exit(await main())
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(EXIT_FAILED)
}
