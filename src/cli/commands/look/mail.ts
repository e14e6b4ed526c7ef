import { counted } from '../../../core/format/counted.ts'
import type { Command } from 'commander'
import type { Trouble } from '../../../contract/verdict.ts'
import { AppError } from '../../../core/error.ts'
import { MAIL_LANGUAGES, type MailLanguage } from '../../../core/mail/mail-language.ts'
import { NOTICE_KINDS, OWNER_KINDS, type NoticeKind } from '../../../core/mail/notice.ts'
import type { Settings } from '../../../core/settings/settings.ts'
import { MAIL_STATES, type MailState } from '../../../ports/store/mail.ts'
import type { Store } from '../../../store/store.ts'
import type { MailReport } from '../../../store/mail/mail-reports.ts'
import { EXIT } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { moment, nextMoment } from '../../terminal/moment.ts'
import { limitOption, type Flags, type Given, type Texts } from '../../terminal/options.ts'
import { personOf } from '../../process/person.ts'
import { firstOf, note, plain, print, printData, printTable, printText } from '../../terminal/output.ts'
import { loadForWork, loadSettings, openStoreFor } from '../../process/settings.ts'

/** States of mails that were not delivered. */
const LOST: readonly MailState[] = ['refused', 'expired', 'no-address']
const UNSENT: readonly MailState[] = ['gathering', 'waiting']

export function register(program: Command, io: CliIo): void {
  const mail = program.command('mail').description('mails to owners and the help desk: what waits, what was sent')
  registerList(mail, io)
  registerRetry(mail, io)
  registerDrop(mail, io)
  registerTest(mail, io)
  registerPreview(mail, io)
}

type ListOptions = Given<'limit'> & Texts<'state'> & Flags<'json'>

function registerList(mail: Command, io: CliIo): void {
  mail
    .command('list', { isDefault: true })
    .description('the newest mails, and what became of them')
    .option('--state <state>', `${MAIL_STATES.join(', ')}; or unsent, or lost`)
    .option('--limit <number>', 'the newest so many', '50')
    .option('--json', 'print the result as JSON')
    .action(async (options: ListOptions, command: Command) => {
      const states = statesOf(options.state)
      const limit = limitOption('--limit', options.limit)
      await using store = await openStoreFor(await loadForMail(command, io))
      const { items: mails, isCut } = await firstOf(limit, (max) => store.mails.list({ states, limit: max }))
      if (options.json === true) return printData(io, { mails, isCut, ...(await store.mails.counts()) })
      if (mails.length === 0) return note(io, 'no such mail')
      printTable(io, mails, [
        { title: 'id', value: (each) => each.id },
        { title: 'since', value: (each) => moment(each.createdMs), align: 'right' },
        { title: 'state', value: (each) => each.state },
        {
          title: 'for',
          value: (each) => (each.audience === 'owner' ? `owner of ${each.recipient}` : each.recipient),
          movesBelow: true,
        },
        { title: 'content', value: noticeCounts, movesBelow: true },
        { title: 'next', value: (each) => (each.dueMs === null ? '-' : nextMoment(each.dueMs)) },
        { title: 'why', value: (each) => each.why || '-', movesBelow: true },
      ])
    })
}

/** Somebody named mails, and none of them is there. */
function troubleOf(mails: number, named: readonly string[] | null, can: string): Trouble | null {
  if (mails > 0 || named === null) return null
  const message = `there is no mail ${plain(named.join(', '))} that ${can}`
  return { code: 'nothing-matched', message, hint: 'lockstep mail list shows the ids.' }
}

/** Fails with `config-invalid` where no mail is configured. */
async function loadForMail(command: Command, io: CliIo): Promise<Settings> {
  const settings = await loadForWork(command, io, true)
  const { mailOf } = await import('../../../operations/mail/mail-by-hand.ts')
  mailOf(settings)
  return settings
}

function noticeCounts({ counts }: MailReport): string {
  return Object.entries(counts)
    .map(([kind, count]) => `${count} ${kind}`)
    .join(', ')
}

function statesOf(text: string | undefined): readonly MailState[] | undefined {
  if (text === undefined) return undefined
  if (text === 'lost') return LOST
  if (text === 'unsent') return UNSENT
  const state = MAIL_STATES.find((each) => each === text)
  if (state !== undefined) return [state]
  throw new AppError('usage', `--state ${text}: expected one of ${MAIL_STATES.join(', ')}, unsent, lost`)
}

type ChosenOptions = Flags<'all' | 'json'>

function chosen(ids: readonly string[], { all }: ChosenOptions): readonly string[] | null {
  if ((all === true) === ids.length > 0)
    throw new AppError('usage', 'name the ids of mails (lockstep mail list), or --all')
  return all === true ? null : ids
}

function registerRetry(mail: Command, io: CliIo): void {
  const retry = mail.command('retry [ids...]').description('try again now, also such as were given up')
  forChosen(retry, 'can be tried again', io, async (store, which) => {
    const mails = await store.mails.retry(which)
    const daemon = (await store.processLock.daemon()) !== null
    return {
      data: { mails, daemon },
      text: `due again: ${counted(mails, 'mail')}${daemon ? '' : '; run lockstep drain'}`,
    }
  })
}

function registerDrop(mail: Command, io: CliIo): void {
  const drop = mail.command('drop [ids...]').description('never send these')
  forChosen(drop, 'waits', io, async (store, which) => {
    const mails = await store.mails.drop(which, personOf(io))
    return { data: { mails }, text: `dropped: ${counted(mails, 'mail')}` }
  })
}

type Done = { readonly data: { readonly mails: number }; readonly text: string }

/** @param can what a mail must be for it: `waits`, `can be tried again` */
function forChosen(
  command: Command,
  can: string,
  io: CliIo,
  work: (store: Store, which: readonly string[] | null) => Promise<Done>,
): void {
  command
    .option('--all', 'all that wait')
    .option('--json', 'print the result as JSON')
    .action(async (ids: string[], options: ChosenOptions, given: Command) => {
      const which = chosen(ids, options)
      await using store = await openStoreFor(await loadForMail(given, io), true)
      const { data, text } = await work(store, which)
      const trouble = troubleOf(data.mails, which, can)
      io.exitCode = trouble === null ? EXIT.ok : EXIT.noUser
      if (options.json === true) printData(io, data, trouble)
      else if (trouble !== null) note(io, `lockstep: ${trouble.message}\n  ${trouble.hint}`)
      else printText(io, text)
    })
}

function registerTest(mail: Command, io: CliIo): void {
  mail
    .command('test <address>')
    .description('send a test mail now')
    .option('--json', 'print the result as JSON')
    .action(async (address: string, options: { json?: boolean }, command: Command) => {
      const settings = await loadSettings(command, io)
      const { sendTestMail } = await import('../../../operations/mail/mail-by-hand.ts')
      const { openLog } = await import('../../../app/log.ts')
      const sent = await sendTestMail(settings, address, io.env, openLog(io.stderr, false))
      if (options.json === true) printData(io, sent)
      else printText(io, `${sent.server} took ${sent.messageId} for ${sent.to}`)
    })
}

type PreviewOptions = Given<'to'> & Texts<'lang'> & Flags<'html' | 'json'>

function registerPreview(mail: Command, io: CliIo): void {
  mail
    .command('preview <kind>')
    .description('print a mail as it would be, about made-up events; nothing is sent')
    .option('--to <whom>', 'owner or help-desk', 'owner')
    .option('--lang <language>', MAIL_LANGUAGES.join(' or '))
    .option('--html', 'the HTML in place of the plain text')
    .option('--json', 'print subject, text and HTML as JSON')
    .action(async (kind: string, options: PreviewOptions, command: Command) => {
      const settings = await loadSettings(command, io)
      const what = previewOf(kind, options)
      const { previewMail } = await import('../../../operations/mail/mail-by-hand.ts')
      const { openLog } = await import('../../../app/log.ts')
      const words = await previewMail(settings, what, openLog(io.stderr, false))
      if (options.json === true) printData(io, words)
      else if (options.html === true) print(io, words.html)
      else print(io, `Subject: ${plain(words.subject)}\n\n${words.text}`)
    })
}

function previewOf(
  text: string,
  options: PreviewOptions,
): { kind: NoticeKind | 'digest'; recipient: 'owner' | 'help-desk'; language: MailLanguage | null } {
  const kind = [...NOTICE_KINDS, 'digest' as const].find((each) => each === text)
  if (kind === undefined) throw new AppError('usage', `${text}: expected one of ${NOTICE_KINDS.join(', ')}, digest`)
  const recipient = (['owner', 'help-desk'] as const).find((each) => each === options.to)
  if (recipient === undefined) throw new AppError('usage', `--to ${options.to}: expected owner or help-desk`)
  const language = MAIL_LANGUAGES.find((each) => each === options.lang) ?? null
  if (options.lang !== undefined && language === null) {
    throw new AppError('usage', `--lang ${options.lang}: expected ${MAIL_LANGUAGES.join(' or ')}`)
  }
  const isOwners = kind === 'digest' || OWNER_KINDS.some((each) => each === kind)
  return { kind, recipient: isOwners ? recipient : 'help-desk', language }
}
