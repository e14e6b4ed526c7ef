import { spawn, type ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually } from '../eventually.ts'
import { freePort } from '../free-port.ts'
import { makeTempDir } from '../temp-dir.ts'
import type { TestCertificates } from '../test-certificates.ts'

/** A real SMTP server (aiosmtpd) that keeps what comes in a Maildir. */

const SCRIPT = fileURLToPath(new URL('mail-sink.py', import.meta.url))
/** Debian's Python, which has the package; another one in PATH may not. */
const PYTHON = '/usr/bin/python3'
const MISSING =
  'aiosmtpd is not installed for /usr/bin/python3; install it with: apt-get install -y --no-install-recommends python3-aiosmtpd'

export type ScriptedStep = 'connect' | 'EHLO' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA' | 'message'

export interface SinkFaults {
  readonly refuse?: readonly string[]
  readonly defer?: readonly string[]
  readonly refuseSender?: boolean
  readonly dataDelayMs?: number
  readonly down?: boolean
  /** What it answers, with `{helo}` and `{address}` in it, and whom it takes all the same; see the script. */
  readonly answers?: Readonly<Partial<Record<ScriptedStep, string>>>
  readonly taken?: readonly string[]
}

export interface SinkOptions {
  readonly certificates?: TestCertificates
  /** TLS from the first byte, in place of STARTTLS. */
  readonly tls?: boolean
  readonly auth?: { readonly user: string; readonly password: string }
}

/** A mail as the sink got it: header names in lower case, values unfolded. */
export interface ReceivedMail {
  readonly file: string
  readonly headers: ReadonlyMap<string, string>
  /** As it came. */
  readonly raw: string
  readonly to: string
  readonly subject: string
  readonly text: string
  readonly html: string
}

export interface MailSink extends AsyncDisposable {
  readonly port: number
  readonly url: string
  mails(): ReceivedMail[]
  /** How many files there are: cheaper than to read them. */
  count(): number
  fault(faults: SinkFaults): void
  stop(): Promise<void>
  start(): Promise<void>
}

export async function startMailSink(options: SinkOptions = {}): Promise<MailSink> {
  const temp = await makeTempDir('mail')
  const port = await freePort()
  const sink = new Sink(temp, port, options)
  try {
    await sink.start()
    return sink
  } catch (error) {
    await sink[Symbol.asyncDispose]()
    throw error
  }
}

class Sink implements MailSink {
  readonly port: number
  readonly url: string
  readonly #temp: AsyncDisposable & { readonly path: string }
  readonly #options: SinkOptions
  #child: ChildProcess | null = null

  constructor(temp: AsyncDisposable & { readonly path: string }, port: number, options: SinkOptions) {
    this.#temp = temp
    this.#options = options
    this.port = port
    this.url = `${options.tls === true ? 'smtps' : 'smtp'}://127.0.0.1:${port}`
  }

  async start(): Promise<void> {
    const { certificates, tls, auth } = this.#options
    const args = [SCRIPT, this.#temp.path, String(this.port)]
    if (certificates !== undefined) args.push('--cert', certificates.certFile, '--key', certificates.keyFile)
    if (tls === true) args.push('--tls')
    if (auth !== undefined) args.push('--auth', auth.user, auth.password)
    const child = spawn(PYTHON, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    let said = ''
    let failed = ''
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (failed += chunk.toString()))
    child.once('error', () => (failed = MISSING))
    await eventually(
      'the mail sink is ready',
      () => said.includes('ready') || failed.includes('Error') || child.exitCode !== null,
    )
    if (!said.includes('ready'))
      throw new Error(failed.includes('No module named') ? MISSING : `the mail sink did not start: ${failed}`)
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
    child.kill('SIGKILL')
    await closed
  }

  fault(faults: SinkFaults): void {
    const file = join(this.#temp.path, 'faults.json')
    writeFileSync(`${file}.new`, JSON.stringify(faults))
    renameSync(`${file}.new`, file)
  }

  count(): number {
    return this.#files().length
  }

  mails(): ReceivedMail[] {
    return this.#files().map((file) => parse(file, readFileSync(file, 'utf8')))
  }

  #files(): string[] {
    const folder = join(this.#temp.path, 'maildir', 'new')
    return readdirSync(folder)
      .toSorted()
      .map((name) => join(folder, name))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.#temp[Symbol.asyncDispose]()
  }
}

function parse(file: string, raw: string): ReceivedMail {
  const { headers, body } = split(raw)
  const parts = partsOf(headers, body)
  const textOf = (type: string): string => parts.find((part) => part.type === type)?.text ?? ''
  return {
    file,
    headers,
    raw,
    to: headers.get('x-rcptto') ?? '',
    subject: decodeWords(headers.get('subject') ?? ''),
    text: textOf('text/plain'),
    html: textOf('text/html'),
  }
}

function split(raw: string): { headers: Map<string, string>; body: string } {
  const text = raw.replace(/\r\n/g, '\n')
  const end = text.indexOf('\n\n')
  const lines = text
    .slice(0, end)
    .replace(/\n[ \t]+/g, ' ')
    .split('\n')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    headers.set(name, headers.has(name) ? `${headers.get(name)}\u0000${value}` : value)
  }
  return { headers, body: text.slice(end + 2) }
}

function partsOf(headers: ReadonlyMap<string, string>, body: string): { type: string; text: string }[] {
  const type = headers.get('content-type') ?? 'text/plain'
  const boundary = /boundary="?([^";]+)"?/.exec(type)?.[1]
  if (boundary === undefined) {
    const encoding = headers.get('content-transfer-encoding')?.toLowerCase() ?? '7bit'
    return [{ type: type.split(';')[0]?.trim().toLowerCase() ?? '', text: decode(body, encoding) }]
  }
  return body
    .split(`--${boundary}`)
    .slice(1, -1)
    .flatMap((part) => {
      const inner = split(part.replace(/^\n/, ''))
      return partsOf(inner.headers, inner.body)
    })
}

function decode(body: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8')
  if (encoding !== 'quoted-printable') return body
  const bytes = body
    .replace(/=\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_all, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

/** RFC 2047. */
function decodeWords(text: string): string {
  return text
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?utf-8\?([qb])\?([^?]*)\?=/gi, (_all, kind: string, word: string) =>
      kind.toLowerCase() === 'b'
        ? Buffer.from(word, 'base64').toString('utf8')
        : decode(word.replace(/_/g, ' '), 'quoted-printable'),
    )
}
