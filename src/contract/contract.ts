import { z } from 'zod'
import * as orders from './schemas/orders.ts'
import * as record from './schemas/record.ts'
import { failure } from './schemas/parts.ts'
import * as setup from './schemas/setting-up.ts'

/**
 * The JSON of the command line: what `data` is for each command that takes `--json`. Documented in docs/reference/json.md, which is
 * made from it; the tests hold every document that they read against it.
 */
export interface Contract {
  /** As it is given, with the options that make it another document. */
  readonly command: string
  readonly about: string
  readonly data: z.ZodType
}

const LIST: readonly Contract[] = [
  {
    command: 'status',
    about:
      'health, queue, and what waits and why; locked: the first of lockedCount accounts that are locked or are to be, without those that a breaker keeps open',
    data: record.status,
  },
  { command: 'status --check', about: 'the line for monitoring and its exit code', data: record.statusCheck },
  {
    command: 'accounts',
    about:
      'the accounts on record; files: what releases each, as paths below the LDIF folder (null: not readable); isCut: there are more',
    data: record.accounts,
  },
  { command: 'show', about: 'everything on record about an account', data: record.show },
  { command: 'events', about: 'the newest events; isCut: there are more', data: record.events },
  { command: 'owners', about: 'owners of tokens who have no account', data: record.owners },
  { command: 'journal', about: 'records of the journal', data: record.journal },
  { command: 'journal --verify', about: 'whether its chain of hashes is whole', data: record.journalVerify },
  {
    command: 'lock',
    about: 'the account after the order, what was found before, and whether it changed anything',
    data: orders.lock,
  },
  {
    command: 'unlock',
    about: 'the account after the order, what was found before, and what has ended',
    data: orders.unlock,
  },
  { command: 'undo', about: 'what is reverted, and what is left as it is', data: orders.undo },
  { command: 'pause', about: 'changed: it was not paused before', data: orders.pause },
  { command: 'resume', about: 'how many accounts had waited', data: orders.resume },
  { command: 'review list', about: 'the locks and losses that wait', data: record.reviewList },
  { command: 'review show', about: 'what waits of one account, with the LDIF', data: record.reviewShow },
  { command: 'review approve', about: 'what became of it', data: orders.decision },
  { command: 'review reject', about: 'what became of it', data: orders.decision },
  { command: 'review resume', about: 'how many had waited', data: orders.reviewResume },
  { command: 'drain', about: 'what was taken, and what could not be done', data: orders.drain },
  { command: 'retry', about: 'how many are due again', data: orders.retry },
  { command: 'resync', about: 'what differs; drift holds the first 10,000', data: record.resync },
  { command: 'resync --adopt', about: 'what would be adopted, or was', data: record.adoption },
  { command: 'rebuild', about: 'what was restored', data: orders.rebuild },
  { command: 'reload', about: 'keys that are in effect, and keys that wait for a restart', data: orders.reload },
  { command: 'healthcheck', about: 'whether a daemon serves and can do its work', data: orders.healthcheck },
  { command: 'retire', about: 'what would be released, or was; and what is left', data: orders.retire },
  {
    command: 'retire --cancel',
    about:
      'changed: it was retired before. resync: what does the full resync that is due then, the daemon or a person (lockstep resync); null: none is',
    data: orders.retireCancel,
  },
  { command: 'mail list', about: 'the newest mails; isCut: there are more', data: record.mailList },
  { command: 'mail retry', about: 'how many are due again', data: orders.mailRetry },
  { command: 'mail drop', about: 'how many are never sent', data: orders.mailDrop },
  { command: 'mail test', about: 'the server that took the mail', data: orders.mailTest },
  { command: 'mail preview', about: 'the mail as it would be', data: orders.mailPreview },
  { command: 'check', about: 'mistakes and warnings of the configuration', data: setup.check },
  {
    command: 'doctor',
    about: 'what was found, and how to mend it. skip: it was not looked at; fix states how to have it done',
    data: setup.doctor,
  },
  { command: 'version', about: 'versions of Lockstep and of what it runs on', data: setup.version },
  { command: 'init', about: 'the files that were written', data: setup.init },
  { command: 'directory show', about: 'what each server reports of itself', data: setup.directoryShow },
  { command: 'directory accept', about: 'the directory that counts from now on', data: setup.directoryAccept },
  { command: 'shims install', about: 'scripts and folders', data: setup.shimsInstall },
  { command: 'shims test', about: 'whether the event of each script arrives', data: setup.shimsTest },
  { command: 'privacyidea setup', about: 'handlers and policies that are changed', data: setup.privacyideaSetup },
  { command: 'privacyidea setup --print', about: 'the calls for doing it by hand', data: setup.privacyideaCalls },
  { command: 'recipes list', about: 'the recipes that there are', data: setup.recipesList },
  { command: 'recipes show', about: 'one recipe', data: setup.recipesShow },
  { command: 'recipes apply', about: 'handlers that are changed', data: setup.recipesChange },
  { command: 'recipes remove', about: 'handlers that are removed', data: setup.recipesChange },
  { command: 'enroll', about: 'the new token of one user', data: setup.enrollOne },
  { command: 'enroll --csv', about: 'a roll-out, by --csv or --group', data: setup.enrollMany },
  { command: 'rehearse', about: 'who would have been locked', data: setup.rehearse },
]

export const CONTRACTS: ReadonlyMap<string, Contract> = new Map(LIST.map((each) => [each.command, each]))

/** The subcommand that applies where none is given. */
const DEFAULTS: Readonly<Record<string, string>> = { mail: 'mail list', recipes: 'recipes list', review: 'review list' }
/** Options that are synonyms of another one of the list. */
const SYNONYMS: Readonly<Record<string, string>> = { '--group': '--csv' }

/** The contract of a command line; null: it prints no document. @param args as the program takes them */
export function contractOf(args: readonly string[]): Contract | null {
  const words = wordsOf(args)
  const [first = '', second = ''] = words
  const command = [`${first} ${second}`, DEFAULTS[first] ?? '', first].find((each) => CONTRACTS.has(each))
  if (command === undefined) return null
  const options = args.flatMap((each) => (each.startsWith('--') ? (SYNONYMS[each] ?? each) : []))
  const special = options.map((option) => `${command} ${option}`).find((each) => CONTRACTS.has(each))
  return CONTRACTS.get(special ?? command) ?? null
}

/** Up to the first option of the command; `--config FILE` may precede it. */
function wordsOf(args: readonly string[]): string[] {
  const rest = args[0] === '--config' ? args.slice(2) : args
  const end = rest.findIndex((each) => each.startsWith('-'))
  return rest.slice(0, end === -1 ? undefined : end)
}

/** The document: `error` is why the exit code is not 0; `data` is there too where the command had an answer. */
export function documentOf(data: z.ZodType): z.ZodType {
  return z.discriminatedUnion('ok', [
    z.strictObject({ ok: z.literal(true), data }),
    z.strictObject({ ok: z.literal(false), error: failure, data: data.optional() }),
  ])
}
