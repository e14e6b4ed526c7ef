import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runToolOk } from '../servers/run-tool.ts'
import { makeTempDir } from '../servers/temp-dir.ts'

/** The model of claims, ledger and late writes (docs/model/), checked by spin; and that the code and it name the same actions. */

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const MODEL = `${ROOT}docs/model/account.pml`
const MISSING = 'spin and a C compiler are missing; install them with: apt-get install -y spin gcc libc6-dev'
const TOOL_TIMEOUT_MS = 300_000
const TEST_TIMEOUT_MS = 900_000
/** A model that is cut off early proves nothing. */
const STATES_MIN = 500_000

/** How far each search goes; docs/model/README.md says what for, and how many states they are. */
const STOPPED = { TOGGLES: 3, TAKEOVERS: 2, CRASHES: 0, UNANSWERED: 0, CHANGES: 4 }
const UNANSWERED = { TOGGLES: 3, TAKEOVERS: 1, CRASHES: 0, UNANSWERED: 1, CHANGES: 4 }
const KILLED = { TOGGLES: 2, TAKEOVERS: 1, CRASHES: 1, UNANSWERED: 0, CHANGES: 3 }

interface Checked {
  readonly errors: number
  readonly states: number
  /** The assertion that did not hold. */
  readonly violated: string | null
}

async function check(bounds: Readonly<Record<string, number>>, variant: string | null): Promise<Checked> {
  await using temp = await makeTempDir('model')
  const options = { cwd: temp.path, missing: MISSING, timeoutMs: TOOL_TIMEOUT_MS }
  const defines = Object.entries(bounds).map(([name, value]) => `-D${name}=${value}`)
  await runToolOk('spin', [...defines, ...(variant === null ? [] : [`-D${variant}`]), '-a', MODEL], options)
  await runToolOk('cc', ['-O1', '-DSAFETY', '-DCOLLAPSE', '-o', 'pan', 'pan.c'], options)
  // -E: where nothing moves any more, what must hold is asserted by the model itself.
  const { stdout } = await runToolOk(`${temp.path}/pan`, ['-E', '-m10000', '-w22'], options)
  expect(stdout).not.toContain('max search depth too small')
  return {
    errors: Number(/errors: (\d+)/.exec(stdout)?.[1]),
    states: Number(/^\s*(\d+) states, stored/m.exec(stdout)?.[1]),
    violated: /assertion violated (.*) \(at depth/.exec(stdout)?.[1] ?? null,
  }
}

test.each([
  ['workers are stopped for longer than their lease', STOPPED],
  ['answers come too late', UNANSWERED],
  ['one is killed', KILLED],
] as const)(
  'nobody stays locked without a hold or open with one, and no waiting file is lost, where %s',
  { timeout: TEST_TIMEOUT_MS },
  async (_, bounds) => {
    const { errors, states, violated } = await check(bounds, null)
    expect({ errors, violated }).toEqual({ errors: 0, violated: null })
    expect(states).toBeGreaterThan(STATES_MIN)
  },
)

test.each([
  ['without the token', 'NO_FENCE', STOPPED],
  ['without the adoption of what comes late', 'TOKEN_WITHOUT_ADOPTION', STOPPED],
  ['where a change removes another one’s file', 'FILES_BY_ACCOUNT', KILLED],
  ['where a row that was refused takes the file', 'REFUSED_ROW_TAKES_FILE', KILLED],
  ['where read looks at no token', 'WITHOUT_READ', KILLED],
  ['where plan looks at no token', 'WITHOUT_PLAN', KILLED],
  ['where close looks at no token', 'WITHOUT_CLOSE', KILLED],
  ['where own looks at no token', 'WITHOUT_OWN', KILLED],
  ['where settle looks at no token', 'WITHOUT_SETTLE', KILLED],
  ['where note looks at no token', 'WITHOUT_NOTE', STOPPED],
] as const)('the model finds what goes wrong %s', { timeout: TEST_TIMEOUT_MS }, async (_, variant, bounds) => {
  expect(readFileSync(MODEL, 'utf8')).toMatch(new RegExp(`^ *#ifn?def ${variant}$`, 'm'))
  const { errors, violated } = await check(bounds, variant)
  expect(errors).toBe(1)
  expect(violated).not.toBeNull()
})

/** `model: <action>` in a comment of the code. */
const ACTION_IN_CODE = /^\s*(?:\/\*\*|\*|\/\/).*\bmodel: ([a-z]+)/gm
/** In the model an action is an inline with a name of lower-case letters only; its helpers have others. */
const ACTION_IN_MODEL = /^inline ([a-z]+)\(/gm
const HELPERS = ['oldest']
/** Where a write is refused under a claim that is no longer the live one. */
const GUARD = /throw leaseLost\(|await checkHeld\(/

function sources(): { readonly name: string; readonly text: string }[] {
  const names = readdirSync(`${ROOT}src`, { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ name, text: readFileSync(`${ROOT}src/${name}`, 'utf8') }))
}

function namesIn(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].flatMap((match) => match[1] ?? [])
}

test('every action that the code names is one of the model, and the other way round', () => {
  const inCode = new Set(sources().flatMap(({ text }) => namesIn(text, ACTION_IN_CODE)))
  const inModel = namesIn(readFileSync(MODEL, 'utf8'), ACTION_IN_MODEL).filter((name) => !HELPERS.includes(name))
  expect([...inCode].toSorted()).toEqual(inModel.toSorted())
})

test('every write of the store that a lost claim refuses names its action in the model', () => {
  const guarded = sources().flatMap(({ name, text }) => {
    // A function with the comment before it.
    const parts = text.split(/^(?=\/\*\*|(?:export )?(?:async )?function )/m)
    return parts.flatMap((part, index) => {
      if (!GUARD.test(part) || part.includes('function checkHeld(')) return []
      const whole = `${parts[index - 1]?.startsWith('/**') === true ? parts[index - 1] : ''}${part}`
      return [{ where: `${name}: ${/function (\w+)/.exec(part)?.[1]}`, actions: namesIn(whole, ACTION_IN_CODE).length }]
    })
  })
  expect(guarded.length).toBeGreaterThan(5)
  expect(guarded.filter(({ actions }) => actions === 0)).toEqual([])
})
