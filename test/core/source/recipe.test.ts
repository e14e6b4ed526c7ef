import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { filledHandlers, placesOf, filledParameters, type Recipe } from '../../../src/core/source/recipe.ts'

const recipe: Recipe = {
  name: 'sample',
  title: 'Sample',
  purpose: 'A test.',
  risk: 'None.',
  since: '3.11',
  needs: [],
  parameters: {
    via: { text: 'how', fallback: 'mail', choices: ['mail', 'chat'], isSecret: false },
    to: { text: 'to whom', fallback: null, choices: null, isSecret: false },
    url: { text: 'where', fallback: null, choices: null, isSecret: true },
  },
  handlers: [
    { ...handler('mail'), when: { via: 'mail' }, options: { 'To email': '${to}' } },
    { ...handler('chat'), when: { via: 'chat' }, options: { URL: '${url}/x' } },
  ],
  prefix: 'lockstep recipe sample: ',
}

function handler(name: string) {
  return {
    name,
    when: {},
    events: ['token_init'],
    position: 'post' as const,
    ordering: 0,
    module: 'M',
    action: 'a',
    conditions: {},
    options: {},
  }
}

const settled = (given: Readonly<Record<string, string>>) => filledParameters(recipe, new Map(Object.entries(given)))

describe('the parameters of a recipe', () => {
  test('what only handlers that do not apply would use need not be given', () => {
    expect(settled({ to: 'a@example.org' }).problems).toEqual([])
    expect(settled({ via: 'chat', url: 'https://chat' }).problems).toEqual([])
  })

  test('all that is missing, unknown or wrong is told at once', () => {
    expect(settled({ via: 'pigeon', colour: 'red' }).problems).toEqual([
      { parameter: 'colour', message: 'the recipe sample has no such parameter; it takes via, to, url' },
      { parameter: 'via', message: 'expected one of mail, chat' },
    ])
    expect(settled({}).problems).toEqual([{ parameter: 'to', message: 'is missing: to whom' }])
    expect(settled({ to: 'a\nBcc: b' }).problems[0]?.message).toContain('control characters')
  })

  test('only the handlers that apply are made, filled in, under names that are ours', () => {
    const made = filledHandlers(recipe, settled({ via: 'chat', url: 'https://chat' }).values)
    expect(made).toMatchObject([
      { name: 'lockstep recipe sample: chat', options: { URL: 'https://chat/x' }, isActive: true },
    ])
    expect(made[0]).not.toHaveProperty('when')
  })

  test('a value that looks like a place is put in as it is', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 40 }), (text) => {
        const to = `\${url}${text.replace(/[\p{Cc}\u2028\u2029]/gu, '')}$&`
        const { values } = settled({ to })
        expect(filledHandlers(recipe, values)[0]?.options['To email']).toBe(to)
      }),
    )
  })

  test('the places are those of the handlers that apply', () => {
    expect([...placesOf(recipe, new Map([['via', 'chat']]))]).toEqual(['url'])
  })
})
