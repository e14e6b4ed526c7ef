import { lossTests } from './losses.ts'

lossTests(
  '3.14',
  'a janitor unassigns everybody',
  async ({ pi }, serials) => {
    for (const serial of serials) await pi.ask('POST', '/token/unassign', { serial })
  },
  null,
)
