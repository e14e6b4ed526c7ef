import { describe, expect, test } from 'vitest'
import { parseRecipe } from '../../src/config/recipe-file.ts'
import { findRecipes } from '../../src/operations/recipes/recipe-files.ts'
import { wantedBindings } from '../../src/privacyidea/setup/bindings.ts'
import { filledRecipe } from '../../src/operations/recipes/recipes.ts'

const GOOD = `title: One
purpose: A test.
risk: None.
parameters:
  smtp: { text: the server }
handlers:
  - name: mail
    events: [token_init]
    module: UserNotification
    action: sendmail
    options: { emailconfig: '\${smtp}' }
`
const parsed = (text: string) => parseRecipe(text, 'one', '/r/one.yaml', null)

describe('the file of a recipe', () => {
  test('a good one is read with its defaults', () => {
    expect(parsed(GOOD)).toMatchObject({
      name: 'one',
      since: '3.11',
      prefix: 'lockstep recipe one: ',
      parameters: { smtp: { fallback: null, choices: null, isSecret: false } },
      handlers: [{ position: 'post', ordering: 0, when: {}, conditions: {} }],
    })
  })

  test.each([
    ['an unknown key', GOOD.replace('risk:', 'risc:'), '/r/one.yaml:3:1: risc: unknown key; did you mean "risk"?'],
    [
      'a place that is no parameter',
      GOOD.replace('${smtp}', '${stmp}'),
      '${stmp} is no parameter; known are smtp, contentType, hookUrl',
    ],
    [
      'a position that is none',
      GOOD.replace('    module', '    position: after\n    module'),
      'handlers[0].position: expected one of pre, post',
    ],
    ['no event', GOOD.replace('[token_init]', '[]'), 'handlers[0].events: expected a list with 1 to 50 entries'],
    [
      'a condition on a parameter that is not there',
      GOOD.replace('    module', '    when: { via: x }\n    module'),
      'handlers[0].when.via: no parameter has this name',
    ],
    ['something else than keys', '- a\n', 'are expected'],
    [
      'two handlers of one name',
      GOOD + '  - { name: mail, events: [auth], module: M, action: a }\n',
      'a second handler of this name',
    ],
    [
      'a parameter that Lockstep fills in itself',
      GOOD.replace('  smtp: {', '  hookUrl: { text: x }\n  smtp: {'),
      'Lockstep fills in hookUrl itself',
    ],
  ])('%s is told with its place', (_what, text, message) => {
    expect(() => parsed(text)).toThrow(message)
  })

  test('the handlers of directory-sync are those that the set-up makes', async () => {
    const found = (await findRecipes('/nowhere')).find(({ recipe }) => recipe.name === 'directory-sync')
    if (found === undefined) throw new Error('not there')
    const { recipe } = found
    const script = filledRecipe(recipe, new Map([['via', 'script']]), new Map())
    expect(script).toEqual(wantedBindings({ via: 'script' }))
    const known = new Map([
      ['hookUrl', 'http://h/hooks/privacyidea/s'],
      ['contentType', 'urlencoded'],
    ])
    const target = { via: 'webhook', hookUrl: 'http://h/hooks/privacyidea/s', contentType: 'urlencoded' } as const
    expect(filledRecipe(recipe, new Map([['via', 'webhook']]), known)).toEqual(wantedBindings(target))
  })
})
