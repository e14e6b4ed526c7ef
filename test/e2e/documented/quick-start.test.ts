import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { eventually } from '../../servers/eventually.ts'
import { INSTALL_TIMEOUT_MS } from '../../servers/privacyidea/privacyidea.ts'
import { runTool, type ToolResult } from '../../servers/run-tool.ts'
import { makeTempDir } from '../../servers/temp-dir.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const FOLLOWED_WITHIN_MS = 300_000
/** What the reader waits a second for, in the order of the page; a machine with other work may take longer. */
const AWAITED = [
  'lockstep show alice | grep -q "serials *OATH1"',
  '! ldapwhoami -x -H "$LDAP_URL" -D "uid=alice,$LDAP_BASE" -w "$ALICE_PASSWORD"',
  'ldapwhoami -x -H "$LDAP_URL" -D "uid=alice,$LDAP_BASE" -w "$ALICE_PASSWORD"',
  'lockstep show alice | grep -q "unregister applied"',
]

/** What a reader copies: the blocks of the page that are marked as sh, in their order. */
function commandsOf(page: string): string {
  return [...page.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) => block).join('\n')
}

test(
  'docs/tutorial/quick-start.md does what it says, when its commands are typed one after the other',
  { timeout: INSTALL_TIMEOUT_MS },
  async () => {
    await using temp = await makeTempDir('quick-start')
    const play = join(temp.path, 'play')
    const servers = spawn(process.execPath, [join(ROOT, 'demo/servers.ts'), play], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const ended = once(servers, 'close')
    try {
      let said = ''
      for (const stream of [servers.stdout, servers.stderr])
        stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
      await eventually('the servers are there', () => said.includes('In another terminal'), INSTALL_TIMEOUT_MS)
      const page = readFileSync(join(ROOT, 'docs/tutorial/quick-start.md'), 'utf8')
      const commands = commandsOf(page).replace('. play/env', `. ${play}/env`)
      expect(commands).toContain(`. ${play}/env`)
      const { code, stdout, stderr } = await runTool('bash', ['-e'], {
        input: `trap 'kill %1 && wait' EXIT\n${withoutHurry(commands)}`,
        timeoutMs: FOLLOWED_WITHIN_MS,
        cwd: temp.path,
      })
      expect({ code, stderr }, stdout).toMatchObject({ code: 0 })
      const shown = stdout.split('uid=alice,ou=people,dc=example,dc=org\n')
      expect(stdout).toContain('0 failed, 2 to look at')
      expect(stdout).toContain('description: privacyIDEA:OATH1')
      expect(stdout).toContain('as it should be')
      expect(stderr).toContain('Invalid credentials (49)')
      expect(stdout).toContain('OATH1.ldif')
      expect(shown.at(-1)).toMatch(/serials +-\n +locked +not by us\n +standing +in-step/)
      for (const what of ['register', 'lock', 'unlock', 'unregister']) expect(shown.at(-1)).toContain(`${what} applied`)
      expect(stdout).toContain('the chain is whole')
      expect(await makeKnownToken(play)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^"status": *true$/m) })
    } finally {
      servers.kill('SIGTERM')
      await ended
    }
  },
)

/** Each `sleep 1` of the page as a wait for what is to have happened by then. */
function withoutHurry(commands: string): string {
  const [first = '', ...parts] = commands.replace('--wait 10s', '--wait 100s').split('sleep 1\n')
  expect(parts).toHaveLength(AWAITED.length)
  const waits = parts.map((part, index) => `until ${AWAITED[index]} >/dev/null 2>&1; do sleep 0.1; done\n${part}`)
  return first + waits.join('')
}

/** The block of docs/how-to/privacyidea-api.md, at this server. The quick start made ALWAYS1 already. */
async function makeKnownToken(play: string): Promise<ToolResult> {
  const page = readFileSync(join(ROOT, 'docs/how-to/privacyidea-api.md'), 'utf8')
  const url = /PI_URL='(.*)'/.exec(readFileSync(join(play, 'env'), 'utf8'))?.[1] ?? expect.fail('no PI_URL')
  const block = commandsOf(page).replace('https://pi.example.org', url).replace('ALWAYS1', 'ALWAYS2')
  return runTool('bash', ['-ec', block], { input: `${readFileSync(join(play, 'admin-password'), 'utf8')}\n` })
}
