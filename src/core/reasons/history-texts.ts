import { span } from '../format/duration.ts'
import { percentOf } from '../format/counted.ts'
import { lossCauseText } from './limits.ts'
import { germanError } from './error-german.ts'
import type { AnyReason, HistoryCode, HistoryParams } from './history-reasons.ts'

/**
 * The sentences of the reasons in `history-reasons.ts`, in each language that people are written to. What a server or an
 * older version wrote in English is left out of the German one: the code of the error is named instead, and lockstep status
 * has the rest.
 */
export type TextOf = (reason: AnyReason) => string

export interface Sentences<Params> {
  en(params: Params, textOf: TextOf): string
  de(params: Params, textOf: TextOf): string
}

export const HISTORY_TEXTS: { readonly [Code in HistoryCode]: Sentences<HistoryParams[Code]> } = {
  'token-max-fail': {
    en: ({ serial }) => `token ${serial} reached its max fail count`,
    de: ({ serial }) => `Token ${serial} hat die Höchstzahl an Fehlversuchen erreicht`,
  },
  'user-token-max-fail': {
    en: () => 'a token of the user reached its max fail count',
    de: () => 'ein Token hat die Höchstzahl an Fehlversuchen erreicht (welcher, wurde nicht gemeldet)',
  },
  'token-disabled': {
    en: ({ serial }) => `token ${serial} is disabled`,
    de: ({ serial }) => `Token ${serial} ist deaktiviert`,
  },
  'token-revoked': {
    en: ({ serial }) => `token ${serial} is revoked`,
    de: ({ serial }) => `Token ${serial} ist widerrufen`,
  },
  'user-lockout': {
    en: () => 'privacyIDEA keeps the user out',
    de: () => 'Benutzersperre in privacyIDEA',
  },
  'user-lockout-failures': {
    en: () => 'privacyIDEA keeps the user out after too many failed logins',
    de: () => 'Benutzersperre in privacyIDEA nach zu vielen fehlgeschlagenen Anmeldungen',
  },
  'user-lockout-by-hand': {
    en: () => 'somebody locked the user in privacyIDEA',
    de: () => 'Benutzersperre in privacyIDEA, von Hand gesetzt',
  },
  manual: {
    en: ({ text }) => (text === '' ? 'by hand' : text),
    de: ({ text }) => (text === '' ? 'von Hand' : `von Hand: ${text}`),
  },
  undo: {
    en: ({ kind, change, text }) => `undo of ${kind} ${change}${text === undefined ? '' : `: ${text}`}`,
    de: ({ kind, change, text }) =>
      `rückgängig gemacht: ${CHANGES[kind] ?? kind} ${change}${text === undefined ? '' : ` (${text})`}`,
  },
  'restored-from-folders': {
    en: () => 'restored from the LDIF folders',
    de: () => 'aus den LDIF-Ordnern übernommen',
  },

  'no-hold-left': {
    en: () => 'no hold is left',
    de: () => 'kein Grund für eine Sperre besteht mehr',
  },
  'token-usable': {
    en: ({ serial }) => `token ${serial} can be used again`,
    de: ({ serial }) => `Token ${serial} ist wieder verwendbar`,
  },
  'user-tokens-usable': {
    en: () => 'the tokens of the user can be used again',
    de: () => 'die Token des Benutzers sind wieder verwendbar',
  },
  'token-enrolled-anew': {
    en: ({ serial }) => `token ${serial} was enrolled anew`,
    de: ({ serial }) => `Token ${serial} wurde neu ausgerollt`,
  },
  'lockout-ended': {
    en: () => 'privacyIDEA no longer keeps the user out',
    de: () => 'die Benutzersperre in privacyIDEA ist aufgehoben',
  },
  'directory-retired': {
    en: ({ directory }) => `directory ${directory} is retired (lockstep retire)`,
    de: ({ directory }) => `das Verzeichnis ${directory} ist stillgelegt (lockstep retire)`,
  },
  'hold-expired': {
    en: () => 'the time of the lock is over',
    de: () => 'die Zeit der Sperre ist abgelaufen',
  },
  'account-protected': {
    en: ({ rule }) => `protected account, not locked: ${rule}`,
    de: () => 'das Konto ist geschützt (guards.protect) und wird nicht gesperrt',
  },
  'unlocked-in-part': {
    en: ({ places }) => `no hold is left${notRestored(places)}`,
    de: ({ places }) =>
      `kein Grund für eine Sperre besteht mehr; nicht zurückgesetzt wurde: ${places.map(germanPlace).join(', ')}`,
  },
  'lock-adopted': {
    en: () => 'what is there was adopted',
    de: () => 'die vorhandene Sperre wurde übernommen',
  },
  'lock-release': {
    en: () => 'takes our lock away',
    de: () => 'hebt die Sperre von Lockstep auf',
  },
  'doctor-probe': {
    en: () => 'lockstep doctor tries a lock',
    de: () => 'Probe von lockstep doctor',
  },

  'holds-changed': {
    en: () => 'holds changed',
    de: () => 'die Gründe der Sperre haben sich geändert',
  },
  'lock-gone': {
    en: ({ places }) => `our lock no longer stands in the directory${notRestored(places)}`,
    de: () => 'die Sperre steht nicht mehr im Verzeichnis',
  },
  'lock-replaced': {
    en: () => 'our lock was replaced by somebody else’s',
    de: () => 'die Sperre wurde durch eine andere ersetzt',
  },
  'lock-removed': {
    en: ({ passwordSetAt }) =>
      passwordSetAt === null
        ? 'somebody took the lock away in the directory'
        : `a new password, set at ${passwordSetAt}, took the lock away in the directory`,
    de: ({ passwordSetAt }) =>
      passwordSetAt === null
        ? 'jemand hat die Sperre im Verzeichnis aufgehoben'
        : `ein neues Passwort (gesetzt ${passwordSetAt}) hat die Sperre im Verzeichnis aufgehoben`,
  },

  'token-assigned': {
    en: ({ serial }) => `token ${serial} was assigned`,
    de: ({ serial }) => `Token ${serial} wurde zugewiesen`,
  },
  'token-unassigned': {
    en: ({ serial }) => `token ${serial} was unassigned or deleted`,
    de: ({ serial }) => `die Zuweisung von Token ${serial} wurde aufgehoben, oder er wurde gelöscht`,
  },
  'token-moved': {
    en: ({ serial }) => `token ${serial} belongs to another account now`,
    de: ({ serial }) => `Token ${serial} gehört jetzt zu einem anderen Konto`,
  },

  'lock-not-ours': {
    en: () => 'the account is locked by somebody else; that lock is left alone',
    de: () => 'das Konto ist nicht von Lockstep gesperrt; diese Sperre bleibt unberührt',
  },
  'lock-not-effective': {
    en: ({ said }) => said,
    de: () => 'die Sperre hat keine Wirkung; lockstep doctor zeigt, warum',
  },
  'changes-paused': {
    en: ({ directory }) => {
      const [of, how] = directory === null ? ['', ''] : [` of directory ${directory}`, ` --directory ${directory}`]
      return `changes${of} are paused (lockstep resume${how} lets them go on)`
    },
    de: ({ directory }) =>
      `Änderungen${directory === null ? '' : ` im Verzeichnis ${directory}`} sind angehalten (weiter mit lockstep resume)`,
  },
  'dry-run': {
    en: ({ of, name, would }) => {
      const what = `dry run of ${of === 'everything' ? of : `${of} ${name}`}`
      return would.length === 0 ? what : `${what}, not written: ${would.join(', ')}`
    },
    de: () => 'Probelauf: Es wird nichts geschrieben',
  },
  'protection-unread': {
    en: ({ said }) => `not locked while it cannot be determined whether the account is protected: ${said}`,
    de: ({ error }) => `nicht gesperrt, solange nicht feststeht, ob das Konto geschützt ist: ${germanError(error)}`,
  },
  'breaker-limit': {
    en: ({ counted, allowed, perMs, share, until }) => {
      const where = counted === 'all' ? '' : ` of ${counted}`
      const part = share === null ? '' : ` (${percentOf(share)} of its accounts)`
      const waits = until === 'review' ? 'waits for lockstep review' : 'waits for lockstep review, or for room'
      return `at most ${allowed} ${allowed === 1 ? 'lock' : 'locks'}${where} within ${span(perMs)}${part}; ${waits}`
    },
    de: ({ counted, allowed, perMs, share, until }) => {
      const where = counted === 'all' ? '' : ` (${germanCounted(counted)})`
      const part = share === null ? '' : `, ${percentOf(share)} der Konten`
      const waits =
        until === 'review' ? 'wartet auf lockstep review' : 'wartet auf lockstep review oder auf freien Platz'
      return `höchstens ${allowed} ${allowed === 1 ? 'Sperre' : 'Sperren'} in ${span(perMs).replace('.', ',')}${where}${part}; ${waits}`
    },
  },
  'keeps-changing': {
    en: () => 'something else keeps changing the account in the directory',
    de: () => 'etwas anderes ändert das Konto im Verzeichnis fortwährend',
  },
  'account-gone': {
    en: () => 'the account no longer exists in the directory',
    de: () => 'das Konto gibt es im Verzeichnis nicht mehr',
  },
  'operation-failed': {
    en: ({ said }) => said,
    de: ({ error }) => germanError(error),
  },
  'source-unread': {
    en: ({ said }) => `privacyIDEA could not be asked: ${said}`,
    de: ({ error }) => `privacyIDEA konnte nicht gefragt werden: ${germanError(error)}`,
  },
  'mirror-held-back': {
    en: () => 'the breaker holds back what somebody else’s lock in the directory is to do in privacyIDEA',
    de: () => 'die Notbremse hält zurück, was die fremde Sperre in privacyIDEA bewirken soll',
  },
  'mirror-failed': {
    en: ({ said }) => `privacyIDEA could not be notified of the lock in the directory: ${said}`,
    de: ({ error }) =>
      `der Stand des Verzeichnisses konnte nicht nach privacyIDEA übertragen werden: ${germanError(error)}`,
  },
  'serial-carried-elsewhere': {
    en: ({ serial, at }) =>
      `serial ${serial} is already at ${at.join(' and ')}: nothing was written; remove it there, or register the token anew`,
    de: ({ serial, at }) => `Seriennummer ${serial} steht schon bei ${at.join(' und ')}: Es wurde nichts geschrieben`,
  },
  'serial-too-long': {
    en: ({ serial, attribute, dn, length, max }) =>
      `${attribute} of ${dn} would be too long with serial ${serial}: ${length} characters, and the server takes ${max}; nothing was written`,
    de: ({ serial, attribute, length, max }) =>
      `${attribute} würde mit Seriennummer ${serial} zu lang: ${length} Zeichen, der Server nimmt ${max}`,
  },
  several: {
    en: ({ reasons }, textOf) => reasons.map(textOf).join('; '),
    de: ({ reasons }, textOf) => reasons.map(textOf).join('; '),
  },

  'names-nobody': {
    en: () => 'names neither a user nor a serial',
    de: () => 'nennt weder Benutzer noch Seriennummer',
  },
  'token-without-owner': {
    en: () => 'the token has no owner',
    de: () => 'der Token gehört niemandem',
  },
  'registration-without-serial': {
    en: () => 'a registration without a serial',
    de: () => 'eine Zuweisung ohne Seriennummer',
  },
  'unregistration-without-serial': {
    en: () => 'an unregistration without a serial',
    de: () => 'ein Entzug ohne Seriennummer',
  },
  'event-is-hint': {
    en: () => 'a hint: privacyIDEA is asked',
    de: () => 'privacyIDEA wird gefragt',
  },
  'gave-up': {
    en: ({ said }) => `gave up: ${said}`,
    de: ({ error }) => `aufgegeben: ${germanError(error)}`,
  },
  'event-unreadable': {
    en: ({ said }) => said,
    de: () => 'die Meldung ist nicht lesbar; lockstep events zeigt, warum',
  },

  'loss-held-back': {
    en: ({ serial, cause }) =>
      `token ${serial}: ${cause === null ? 'it was lost' : lossCauseText(cause)}, as are many others; serial and lock stay until lockstep review`,
    de: ({ serial, cause }) =>
      `Token ${serial}: ${LOSSES[cause ?? 'not-listed']}, wie viele andere; Seriennummer und Sperre bleiben bis lockstep review`,
  },
  'drift-found': {
    en: ({ first }, textOf) =>
      first
        .map(({ account, serial, why }) => `${account}${serial === null ? '' : ` ${serial}`}: ${textOf(why)}`)
        .join('; '),
    de: ({ first }, textOf) =>
      first
        .map(({ account, serial, why }) => `${account}${serial === null ? '' : ` ${serial}`}: ${textOf(why)}`)
        .join('; '),
  },
  'token-not-on-record': {
    en: ({ serial, login }) => `token ${serial} of ${login} is not on record`,
    de: ({ serial, login }) => `Token ${serial} von ${login} war nicht bekannt`,
  },
  'token-listed-again': {
    en: ({ serial }) => `token ${serial} is listed again`,
    de: ({ serial }) => `Token ${serial} ist wieder aufgeführt`,
  },
  'token-changed-owner': {
    en: ({ serial, login }) => `token ${serial} belongs to ${login} now`,
    de: ({ serial, login }) => `Token ${serial} gehört jetzt ${login}`,
  },
  'token-ownerless': {
    en: ({ serial }) => `token ${serial} has no owner any more`,
    de: ({ serial }) => `Token ${serial} gehört niemandem mehr`,
  },
  'token-gone': {
    en: ({ serial }) => `token ${serial} is gone`,
    de: ({ serial }) => `Token ${serial} gibt es nicht mehr`,
  },
  'token-and-resolver-gone': {
    en: ({ serial }) => `token ${serial} is gone, and its resolver`,
    de: ({ serial }) => `Token ${serial} gibt es nicht mehr, seinen Resolver auch nicht`,
  },
  'token-unknown': {
    en: ({ serial }) => `no token ${serial} exists`,
    de: ({ serial }) => `einen Token ${serial} gibt es nicht`,
  },
  'token-of-another-account': {
    en: ({ serial }) => `token ${serial} is not that of this account`,
    de: ({ serial }) => `Token ${serial} gehört nicht zu diesem Konto`,
  },
  'user-tokens-unusable': {
    en: () => 'all tokens of the user are at their max fail count, disabled or revoked',
    de: () => 'alle Token des Benutzers sind gesperrt, deaktiviert oder widerrufen',
  },
  'serial-removed': {
    en: () => 'somebody took the serial off the account',
    de: () => 'jemand hat die Seriennummer vom Konto entfernt',
  },
  'lock-before-store': {
    en: () => 'it has the value of our locks, and stood before this store was made',
    de: () => 'die Sperre hat den Wert von Lockstep und bestand schon vorher',
  },
}

export function isHistoryCode(code: string): code is HistoryCode {
  return Object.hasOwn(HISTORY_TEXTS, code)
}

function notRestored(places: readonly string[]): string {
  if (places.length === 0) return ''
  return `; not restored, as it has changed and the configuration no longer names it: ${places.join(', ')}`
}

/** `pwdAccountLockedTime at uid=alice,…`, as the plan names a place. */
function germanPlace(place: string): string {
  return place.replace(' at ', ' bei ')
}

function germanCounted(counted: string): string {
  const [what = '', ...name] = counted.split(' ')
  return `${{ directory: 'Verzeichnis', realm: 'Realm', ou: 'OU' }[what] ?? what} ${name.join(' ')}`
}

const CHANGES: Readonly<Record<string, string>> = {
  lock: 'Sperre',
  unlock: 'Entsperrung',
  register: 'Zuweisung',
  unregister: 'Entzug',
}

const LOSSES: Readonly<Record<NonNullable<HistoryParams['loss-held-back']['cause']>, string>> = {
  'not-listed': 'privacyIDEA führt ihn nicht mehr auf',
  'no-owner': 'privacyIDEA führt ihn ohne Besitzer auf',
  'no-account': 'der Besitzer hat kein Konto in einem der Verzeichnisse',
}
