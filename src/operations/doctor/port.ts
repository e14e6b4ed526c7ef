import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Settings } from '../../core/settings/settings.ts'
import { errnoOf } from '../../core/system-error.ts'
import { Findings, type Finding } from './findings.ts'

/** Whether the webhook can listen at its address: it is tried for a moment, unless the daemon listens there already. */

/** @param running the daemon's settings; null: none runs */
export async function portFindings({ intake }: Settings, running: Settings | null): Promise<readonly Finding[]> {
  const found = new Findings('this machine')
  if (intake.http === null) return []
  const { host, port } = intake.http
  const place = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  const ours = running?.intake.http ?? null
  if (ours !== null && ours.host === host && ours.port === port) {
    found.ok('webhook-port', `the daemon listens on ${place}`)
    return found.all
  }
  const errno = await whyNot(host, port)
  if (errno === null) found.ok('webhook-port', `${place} is free for the webhook`)
  else {
    const [what, fix] = WHY[errno] ?? [`cannot be listened on (${errno})`, 'Correct intake.http.listen.']
    found.fail('webhook-port', {
      what: `${place} ${what}`,
      why: 'The daemon does not start while the webhook cannot listen there.',
      fix: fix.replaceAll('PORT', String(port)),
    })
  }
  return found.all
}

const WHY: Readonly<Record<string, readonly [what: string, fix: string]>> = {
  EADDRINUSE: [
    'is in use by another process',
    "ss -ltnp 'sport = :PORT' names it: stop it, or set intake.http.listen to a free port",
  ],
  EACCES: ['may not be listened on by this user', 'Set intake.http.listen to a port of at least 1024.'],
  EADDRNOTAVAIL: ['is no address of this machine', 'Set intake.http.listen to one, as in 127.0.0.1:8640.'],
}

async function whyNot(host: string, port: number): Promise<string | null> {
  const server = createServer()
  try {
    server.listen({ host, port, exclusive: true })
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
    return null
  } catch (thrown) {
    return errnoOf(thrown)
  }
}
