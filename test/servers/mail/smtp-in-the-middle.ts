import { connect, createServer, type Socket } from 'node:net'

/** Who stands before a mail server, and keeps its clients from STARTTLS so that they speak in the clear. */

/**
 * `not-offered`: STARTTLS is missing among the extensions. `refused`: it is offered, and then not available. `no-ehlo`:
 * a server of before extensions. `pretended`: it says yes, and speaks on without TLS.
 */
export type Stripping = 'not-offered' | 'refused' | 'no-ehlo' | 'pretended'

export interface SmtpInTheMiddle extends AsyncDisposable {
  readonly url: string
  /** What it does with connections from now on; null: hands them to the mail server as they are. */
  strip(how: Stripping | null): void
  /** Everything that clients sent while it was between. */
  heard(): string
}

const TLS_HANDSHAKE = 0x16

export async function startSmtpInTheMiddle(targetPort: number): Promise<SmtpInTheMiddle> {
  let how: Stripping | null = null
  let heard = ''
  const sockets = new Set<Socket>()
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    return socket.on('close', () => sockets.delete(socket))
  }
  const server = createServer((client) => {
    keep(client)
    if (how === null) {
      const target = keep(connect(targetPort, '127.0.0.1'))
      client.pipe(target).pipe(client)
      return
    }
    const stripping = how
    client.write('220 mail.example.org ESMTP\r\n')
    client.on('data', (chunk) => {
      const text = chunk.toString('latin1')
      heard += text
      if (chunk[0] === TLS_HANDSHAKE) return void client.write('500 5.5.1 what is that\r\n')
      for (const line of text.split('\r\n').slice(0, -1)) client.write(`${answerTo(line, stripping)}\r\n`)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it has no port')
  return {
    url: `smtp://127.0.0.1:${address.port}`,
    strip: (next) => {
      how = next
    },
    heard: () => heard,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** It takes whatever it is given: a login, senders, recipients, mails. */
function answerTo(line: string, how: Stripping): string {
  const command = line.toUpperCase()
  if (command.startsWith('EHLO')) {
    if (how === 'no-ehlo') return '502 5.5.1 what is that'
    const offer = how === 'not-offered' ? [] : ['250-STARTTLS']
    return ['250-mail.example.org', ...offer, '250 AUTH PLAIN LOGIN'].join('\r\n')
  }
  if (command.startsWith('STARTTLS')) return how === 'pretended' ? '220 go ahead' : '454 4.7.0 no TLS for now'
  if (command.startsWith('AUTH')) return '235 2.7.0 welcome'
  if (command.startsWith('DATA')) return '354 go on'
  if (command.startsWith('QUIT')) return '221 bye'
  return '250 OK'
}
