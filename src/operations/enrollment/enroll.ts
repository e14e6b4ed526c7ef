import { randomBytes, randomUUID } from 'node:crypto'
import { secretReader } from '../../config/secret.ts'
import type { Enrollee, EnrollType } from '../../core/source/enrollment.ts'
import { AppError, toAppError } from '../../core/error.ts'
import { parseMailAddress } from '../../core/mail/mail-address.ts'
import { parseLogin, parseSerial, type DirectoryName, type Login, type Realm, type Serial } from '../../core/names.ts'
import type { Settings, SourceSettings } from '../../core/settings/settings.ts'
import type { UserOfSource } from '../../core/source/token.ts'
import { openDirectories } from '../../directory/open-directories.ts'
import { systemClock } from '../../ports/clock.ts'
import type { EnrollPort } from '../../ports/store/enrollment.ts'
import type { Contact } from '../../ports/store/mail.ts'
import type { SecretReader } from '../../ports/secret.ts'
import { openEnrollment } from '../../privacyidea/setup/enrollment.ts'
import {
  enroll,
  watchRefusals,
  type EnrollMail,
  type EnrollOptions,
  type EnrollOutcome,
  type EnrollPorts,
} from '../../reconcile/enrollment/enroll.ts'
import { rollOut, type RolloutOptions, type RolloutReport } from '../../reconcile/enrollment/rollout.ts'
import type { Log } from '../../app/log.ts'
import { addressInDirectory } from '../../app/contacts.ts'
import { mailOf } from '../mail/mail-by-hand.ts'
import {
  configuredRealms,
  knownRealms,
  onlyMatch,
  readName,
  type Candidate,
  type RecordAccess,
} from '../accounts/named-account.ts'
import { openStoreOf } from '../../app/state-store.ts'

/** `lockstep enroll`: all needed parts, opened. To be disposed of. */
export interface Enrolments extends AsyncDisposable {
  /** One more token for one user, also where they have tokens. Fails as `enroll` does. */
  one(enrollee: Enrollee, options: Pick<EnrollOptions, 'actor' | 'isDryRun'>): Promise<EnrollOutcome>
  /**
   * The user of privacyIDEA that a login with an `@` means (see named-account.ts). Fails with `unknown-user`,
   * `ambiguous-match` and as PrivacyIdeaPort does.
   * @param realm the only one in which it may be a login; null: each of the configuration
   */
  named(text: Login, realm: Realm | null): Promise<NamedUser>
  all(enrollees: readonly Enrollee[], options: RolloutOptions): Promise<RolloutReport>
  /** All members of a group of a directory. Fails as GroupPort does. */
  ofGroup(group: EnrolleeGroup): Promise<readonly Enrollee[]>
}

export interface NamedUser {
  readonly login: Login
  readonly realm: Realm
  /** Another user that may be meant too; null: none. */
  readonly note: string | null
}

export interface EnrolleeGroup {
  readonly directory: DirectoryName
  readonly dn: string
  readonly realm: Realm
  readonly type: EnrollType
}

export interface EnrollAccess {
  /** privacyIDEA, and its login: the account of the configuration, or a person only for this run. */
  readonly source: SourceSettings
  readonly readSecret: SecretReader
}

const SERIAL_BYTES = 5

/** Fails with `config-invalid` where mail is requested and not configured, and as opening the store does. */
export async function openEnrolments(
  settings: Settings,
  access: EnrollAccess,
  options: {
    readonly withMail: boolean
    readonly env: Readonly<Record<string, string | undefined>>
    readonly log: Log
  },
): Promise<Enrolments> {
  const mailSettings = options.withMail ? mailOf(settings) : null
  await using opened = new AsyncDisposableStack()
  const store = opened.use(await openStoreOf(settings, true))
  const directory = opened.use(openDirectories(settings, systemClock, store.identities))
  const enrollment = opened.use(openEnrollment(access.source, access.readSecret, systemClock))
  let mail: EnrollMail | null = null
  if (mailSettings !== null) {
    const { openSmtp } = await import('../../notify/smtp.ts')
    const transport = opened.use(watchRefusals(openSmtp(mailSettings.smtp, secretReader(options.env))))
    const { openMailComposer } = await import('../../app/mailer.ts')
    const composer = openMailComposer(mailSettings, systemClock, options.log)
    const { owner } = mailSettings
    mail = {
      transport,
      contactOf: async (user) =>
        owner.from === 'directory'
          ? addressInDirectory(owner, directory, (await directory.findByUser(user)).key)
          : contactInSource(user, await enrollment.userDetails(user)),
      write: (message) => composer.newToken(message),
    }
  }
  const ports: EnrollPorts = {
    clock: systemClock,
    source: {
      ...enrollment,
      deleteToken: async (serial) => {
        await store.snapshots.allowLosses([serial])
        return enrollment.deleteToken(serial)
      },
    },
    rollouts: store.rollouts,
    mail,
    newSerial,
    newId: randomUUID,
  }
  const all = opened.move()
  return {
    async one(enrollee, { actor, isDryRun }) {
      const [before = null] = await store.rollouts.read('', [enrollee])
      return enroll(enrollee, before, ports, { actor, isDryRun, rollout: '', onlyWithout: false })
    },
    named: (text, realm) => namedUser({ settings, store }, enrollment, text, realm),
    all: (enrollees, rollout) => rollOut(enrollees, ports, rollout),
    async ofGroup({ directory: name, dn, realm, type }) {
      return (await directory.loginsOfGroup(name, dn)).map((login) => ({ login, realm, type }))
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

async function namedUser(
  access: RecordAccess,
  source: Pick<EnrollPort, 'findUser' | 'proveUnknown'>,
  text: Login,
  only: Realm | null,
): Promise<NamedUser> {
  const asked: Omit<NamedUser, 'note'>[] = []
  const refused: AppError[] = []
  const find = async (login: Login, realms: readonly Realm[]): Promise<Candidate<Omit<NamedUser, 'note'>>[]> => {
    const found: Candidate<Omit<NamedUser, 'note'>>[] = []
    for (const realm of realms) {
      const user = await source.findUser(login, realm)
      asked.push({ login, realm })
      if (user === null) {
        // A user store that does not answer looks the same: then no other user is meant instead.
        await source.proveUnknown(login, realm).catch((thrown: unknown) => {
          const error = toAppError(thrown)
          // Some versions refuse a realm that privacyIDEA does not have; no user can be in it.
          if (error.code !== 'source-answer') throw error
          refused.push(error)
        })
        continue
      }
      const id = JSON.stringify([user.resolver, user.userId])
      const ways = [
        { text: `${login}@${realm}`, realm: null },
        { text: login, realm },
      ] as const
      found.push({ id, ways: [...ways], is: `realm ${realm}`, found: { login, realm } })
    }
    return found
  }
  const realms = await knownRealms(access)
  const named = await readName(text, only, {
    realms: async () => realms,
    called: async (name, realm) => {
      const login = parseLogin(name)
      return login === null ? [] : find(login, realm === null ? configuredRealms(access.settings) : [realm])
    },
    ofUser: (login, realm) => find(login, [realm]),
  })
  const [refusal] = refused
  if (named.matches.length === 0 && refusal !== undefined) throw refusal
  const where = asked.map(({ realm }) => realm)
  const what = `${text}: privacyIDEA does not know this user${where.length === 0 ? '' : ` in realm ${[...new Set(where)].join(', ')}`}`
  const hint = 'No token was made.'
  const user = onlyMatch(text, named, new AppError('unknown-user', what, { hint }))
  return { ...user, note: named.note }
}

/** For a terminal: it contains the secret. */
export async function shownQrCode(otpauth: string): Promise<string> {
  const { terminalQrCode } = await import('../../notify/qr-code.ts')
  return terminalQrCode(otpauth)
}

function contactInSource(user: UserOfSource, found: { mail: string; name: string } | null): Contact {
  if (found === null) return { address: null, language: null, name: user.login }
  return { address: parseMailAddress(found.mail.trim()), language: null, name: found.name }
}

/** As privacyIDEA's own serials: the kind, then a unique random part. */
function newSerial(type: EnrollType): Serial {
  const serial = parseSerial(`${type.toUpperCase()}${randomBytes(SERIAL_BYTES).toString('hex').toUpperCase()}`)
  if (serial === null) throw new AppError('internal', 'a serial of our own making is none')
  return serial
}
