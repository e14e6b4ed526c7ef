import { spawn } from 'node:child_process'
import { readdir, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import PostalMime, { type Email } from 'postal-mime'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { makeTempDir } from './temp-dir.ts'

/** A real SMTP server on a free port of loopback that keeps what it gets in a Maildir. Stopped by pid when disposed. */
export interface MailSink extends AsyncDisposable {
  readonly port: number
  /** Everything that came since the last `empty`, in the order of its coming. */
  mails(): Promise<ReceivedMail[]>
  /** Waits until so many mails are there, and returns them. */
  untilMails(count: number): Promise<ReceivedMail[]>
  empty(): Promise<void>
}

export interface ReceivedMail extends Email {
  /** As it came over the wire. */
  readonly raw: string
}

const PYTHON = '/usr/bin/python3'
const MISSING = 'the SMTP sink did not start; install it with: apt-get install -y python3-aiosmtpd'

export async function startMailSink(): Promise<MailSink> {
  const temp = await makeTempDir('mail-sink')
  const port = await freePort()
  const maildir = join(temp.path, 'maildir')
  const args = ['-m', 'aiosmtpd', '-n', '-l', `127.0.0.1:${port}`, '-c', 'aiosmtpd.handlers.Mailbox', maildir]
  const child = spawn(PYTHON, args, { stdio: 'ignore' })
  const killAtExit = (): void => void child.kill('SIGKILL')
  process.once('exit', killAtExit)
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  child.once('error', () => undefined)
  await eventually(MISSING, () => isOpen(port))
  const folder = join(maildir, 'new')
  const mails = async (): Promise<ReceivedMail[]> => {
    const names = await readdir(folder).catch(() => [])
    return Promise.all(
      names.toSorted(bySequence).map(async (name) => parsed(await readFile(join(folder, name), 'utf8'))),
    )
  }
  return {
    port,
    mails,
    untilMails: (count) =>
      eventually(`${count} mails`, async () => {
        const found = await mails()
        return found.length >= count ? found : null
      }),
    empty: async () => {
      for (const name of await readdir(folder).catch(() => [])) await rm(join(folder, name))
    },
    [Symbol.asyncDispose]: async () => {
      process.removeListener('exit', killAtExit)
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
      await ended
      await temp[Symbol.asyncDispose]()
    },
  }
}

async function parsed(raw: string): Promise<ReceivedMail> {
  return { ...(await PostalMime.parse(raw)), raw }
}

/** Names of a Maildir are `SECONDS.M<micros>P<pid>Q<sequence>.HOST`. */
function bySequence(a: string, b: string): number {
  return sequenceOf(a) - sequenceOf(b)
}

function sequenceOf(name: string): number {
  return Number(/Q(\d+)/.exec(name)?.[1] ?? 0)
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const done = (is: boolean): void => {
      socket.destroy()
      resolve(is)
    }
    socket.once('connect', () => done(true))
    socket.once('error', () => done(false))
  })
}
