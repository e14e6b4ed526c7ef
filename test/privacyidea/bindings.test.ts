import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  alsoOurs,
  contentTypeOf,
  diffBindings,
  hideSecrets,
  isOurs,
  requestOf,
  shownRequestOf,
  wantedBindings,
  type Binding,
  type BindingTarget,
  type ExistingBinding,
} from '../../src/privacyidea/setup/bindings.ts'

const SECRET = 'hook-secret-of-the-tests'
const SCRIPT: BindingTarget = { via: 'script' }
const HOOK: BindingTarget = {
  via: 'webhook',
  hookUrl: `http://127.0.0.1:8640/hooks/privacyidea/${SECRET}`,
  contentType: 'urlencoded',
}

/** What stands after the changes were made, by the rules that were measured: ids only rise, others stay. */
function apply(existing: readonly ExistingBinding[], wanted: readonly Binding[]): ExistingBinding[] {
  let after = [...existing]
  let next = Math.max(0, ...existing.map((each) => each.id)) + 1
  for (const change of diffBindings(existing, wanted)) {
    if (change.kind === 'create') after.push({ ...change.wanted, id: next++ })
    if (change.kind === 'replace') {
      after = after.filter((each) => each.id !== change.id)
      after.push({ ...change.wanted, id: next++ })
    }
    if (change.kind === 'update') {
      // Up to 3.13 an option that is left out stays.
      after = after.map((each) =>
        each.id === change.id
          ? { ...change.wanted, options: { ...each.options, ...change.wanted.options }, id: each.id }
          : each,
      )
    }
    if (change.kind === 'remove') after = after.filter((each) => each.id !== change.id)
  }
  return after
}

function placed(bindings: readonly Binding[]): ExistingBinding[] {
  return bindings.map((binding, index) => ({ ...binding, id: index + 1 }))
}

function kindsOf(existing: readonly ExistingBinding[], wanted: readonly Binding[]): string[] {
  return diffBindings(existing, wanted).map((change) => change.kind)
}

const [register, lock, unlock, success, unregister] = placed(wantedBindings(SCRIPT))
if (!register || !lock || !unlock || !success || !unregister) throw new Error('five bindings were expected')

describe('what has to change', () => {
  const others: ExistingBinding = { ...lock, id: 70, name: 'mail on lock' }
  const rows: { title: string; standing: ExistingBinding[]; wanted: Binding[]; kinds: string[] }[] = [
    { title: 'nothing stands', standing: [], wanted: [lock], kinds: ['create'] },
    { title: 'it stands as wanted', standing: [lock], wanted: [lock], kinds: ['same'] },
    { title: 'it is off', standing: [{ ...lock, isActive: false }], wanted: [lock], kinds: ['update'] },
    { title: 'at pre', standing: [{ ...lock, position: 'pre' }], wanted: [lock], kinds: ['update'] },
    { title: 'another event', standing: [{ ...lock, events: ['auth'] }], wanted: [lock], kinds: ['update'] },
    { title: 'no condition', standing: [{ ...lock, conditions: {} }], wanted: [lock], kinds: ['update'] },
    {
      title: 'a condition too many',
      standing: [{ ...lock, conditions: { ...lock.conditions, realm: 'x' } }],
      wanted: [lock],
      kinds: ['update'],
    },
    {
      title: 'the user is not handed over',
      standing: [{ ...lock, options: { ...lock.options, user: '0' } }],
      wanted: [lock],
      kinds: ['update'],
    },
    {
      title: 'an option too many',
      standing: [{ ...lock, options: { ...lock.options, raise_error: '1' } }],
      wanted: [lock],
      kinds: ['replace'],
    },
    {
      title: 'events in another order',
      standing: [{ ...register, events: ['token_assign', 'token_init'] }],
      wanted: [register],
      kinds: ['same'],
    },
    { title: 'twice', standing: [lock, { ...lock, id: 9 }], wanted: [lock], kinds: ['same', 'remove'] },
    { title: 'ours, not wanted', standing: [lock, unlock], wanted: [lock], kinds: ['same', 'remove'] },
    { title: 'of others', standing: [others], wanted: [lock], kinds: ['create'] },
    { title: 'of others, all of ours to go', standing: [others, lock], wanted: [], kinds: ['remove'] },
  ]
  it.each(rows)('$title: $kinds', ({ standing: existing, wanted, kinds }) => {
    expect(kindsOf(existing, wanted)).toEqual(kinds)
  })

  it('goes from shims to webhook and back without a moment without a handler', () => {
    const hook = wantedBindings(HOOK)
    expect(kindsOf(placed(wantedBindings(SCRIPT)), hook)).toEqual(Array.from({ length: 5 }, () => 'replace'))
    expect(kindsOf(apply(placed(wantedBindings(SCRIPT)), hook), hook)).toEqual(Array.from({ length: 5 }, () => 'same'))
  })

  it('says what was changed by hand, in words', () => {
    const [change] = diffBindings([{ ...lock, isActive: false, conditions: {} }], [lock])
    expect(change).toMatchObject({
      differences: [
        { what: 'active', stands: 'no', wanted: 'yes' },
        { what: 'condition token_locked', stands: 'not set', wanted: 'True' },
      ],
    })
  })
})

describe('whatever stands', () => {
  const text = fc.constantFrom('', '0', '1', 'True', 'background', 'x')
  const values = fc.dictionary(
    fc.constantFrom('serial', 'user', 'background', 'URL', 'token_locked', '__proto__'),
    text,
    {
      maxKeys: 4,
    },
  )
  const binding = fc.record({
    name: fc.constantFrom(
      ...wantedBindings(SCRIPT).map((each) => each.name),
      'mail',
      'lockstep-lock',
      'Lockstep: lock',
    ),
    events: fc.uniqueArray(fc.constantFrom('validate_check', 'token_init', 'auth'), { minLength: 1 }),
    module: fc.constantFrom('Script', 'WebHook', 'Token'),
    action: fc.constantFrom('lockstep-lock', 'post_webhook', 'enable'),
    position: fc.constantFrom('post', 'pre'),
    ordering: fc.integer({ min: -1, max: 2 }),
    isActive: fc.boolean(),
    conditions: values,
    options: values,
  })
  const stands = fc.array(binding, { maxLength: 12 }).map(placed)
  const target = fc.constantFrom(SCRIPT, HOOK)

  it('a second set-up changes nothing', () => {
    fc.assert(
      fc.property(stands, target, (existing, to) => {
        const wanted = wantedBindings(to)
        expect(new Set(kindsOf(apply(existing, wanted), wanted))).toEqual(new Set(['same']))
      }),
    )
  })

  it('what others made is never touched, and removing leaves exactly that', () => {
    const foreign = (each: ExistingBinding): boolean => !isOurs(each.name)
    fc.assert(
      fc.property(stands, target, (existing, to) => {
        expect(apply(existing, wantedBindings(to)).filter(foreign)).toEqual(existing.filter(foreign))
        expect(apply(apply(existing, wantedBindings(to)), [])).toEqual(existing.filter(foreign))
      }),
    )
  })

  it("the hook's secret is in no text that is shown", () => {
    fc.assert(
      fc.property(stands, (existing) => {
        const secret = { ...HOOK, hookUrl: HOOK.hookUrl.replace(SECRET, 'a-second-secret') }
        const changed = existing.map((each) => ({
          ...each,
          options: { ...each.options, URL: `${secret.hookUrl}/lock` },
        }))
        const shown = diffBindings(changed, wantedBindings(HOOK)).map((change) =>
          JSON.stringify('differences' in change ? change.differences : ''),
        )
        expect(shown.join()).not.toMatch(/secret-of-the-tests|second-secret/)
      }),
    )
  })
})

describe('the webhook', () => {
  it('sends the url-encoded body that every version fills in', () => {
    const [, asked] = wantedBindings(HOOK)
    expect(asked && requestOf(asked, 7)).toEqual({
      id: 7,
      name: 'lockstep: lock',
      event: 'validate_check',
      handlermodule: 'WebHook',
      action: 'post_webhook',
      position: 'post',
      ordering: 0,
      active: true,
      conditions: { token_locked: 'True' },
      'option.URL': `http://127.0.0.1:8640/hooks/privacyidea/${SECRET}/lock`,
      'option.content_type': 'urlencoded',
      'option.replace': 'True',
      'option.data': 'user={logged_in_user}&realm={realm}&serial={token_serial}',
    })
    expect(JSON.stringify(asked && shownRequestOf(asked))).not.toContain(SECRET)
  })

  it.each([
    [['json', 'urlencoded'], 'urlencoded'],
    [['json', 'urlendcode'], 'urlendcode'],
    [['application/json', 'application/x-www-form-urlencoded'], 'application/x-www-form-urlencoded'],
    [['json'], null],
  ])('of %j takes %j', (offered, taken) => {
    expect(contentTypeOf(offered)).toBe(taken)
  })

  it('another secret alone is said to be one, and neither is shown', () => {
    const hook = wantedBindings(HOOK)
    const [change] = diffBindings(
      placed(hook),
      wantedBindings({ ...HOOK, hookUrl: HOOK.hookUrl.replace(SECRET, 'newer') }),
    )
    expect(change).toMatchObject({
      kind: 'update',
      differences: [
        {
          what: 'option URL',
          stands: 'http://127.0.0.1:8640/hooks/privacyidea/…/register',
          wanted: 'http://127.0.0.1:8640/hooks/privacyidea/…/register (another secret)',
        },
      ],
    })
  })
})

it.each([
  ['http://h:1/hooks/privacyidea/abc/def/lock', 'http://h:1/hooks/privacyidea/…/lock'],
  ['http://h/hooks/privacyidea/abc', 'http://h/hooks/privacyidea/…'],
  ['https://u:pw@h/x?secret=1', 'https://…@h/…'],
  ['https://h/', 'https://h/'],
  ['see http://h/a and http://u:p@i/b.', 'see http://h/… and http://…@i/…'],
  ['user={user}', 'user={user}'],
])('%s is shown as %s', (text, shown) => {
  expect(hideSecrets(text)).toBe(shown)
})

it('handlers that somebody made by hand and that also call Lockstep are found', () => {
  const byHand = { ...lock, id: 20, name: 'lockstep-lock' }
  const hook = { ...lock, ...wantedBindings(HOOK)[0], id: 21, name: 'hook' }
  expect(alsoOurs([lock, byHand, hook, { ...byHand, id: 22, isActive: false }])).toEqual([byHand, hook])
})
