import { span } from '../core/format/duration.ts'
import type { AnyReason, HistoryParams } from '../core/reasons/history-reasons.ts'
import type { OtherLockCause } from '../core/reasons/other-lock-cause.ts'
import type { Reason, ReasonParams } from '../core/reasons/reason.ts'
import { germanError } from './error-german.ts'
import { percentOf } from '../core/format/counted.ts'

/**
 * The reasons that a mail can give, in German. English text from a server or an older version is left out: the code of
 * the error is shown instead, and lockstep status has the rest.
 */

type Shown = HistoryParams & Pick<ReasonParams, 'locked-by-others' | 'other-lock-unclear' | 'plain-text'>

const TEXTS: {
  readonly [Code in keyof Shown]: (params: Shown[Code]) => string
} = {
  'plain-text': () => 'Näheres zeigt lockstep journal',
  'locked-by-others': ({ cause, attribute, besides }) => {
    const what = `eine Sperre, die nicht von Lockstep stammt: ${OTHERS[cause]} (${attribute})`
    return besides ? `gesperrt von Lockstep, und daneben steht ${what}` : `dort steht ${what}; sie bleibt unberührt`
  },
  'other-lock-unclear': ({ attribute }) =>
    `ob ${attribute} das Konto sperrt, ist nicht zu erkennen: Die geltende Passwortrichtlinie ist nicht lesbar`,

  'token-max-fail': ({ serial }) => `Token ${serial} hat die Höchstzahl an Fehlversuchen erreicht`,
  'user-token-max-fail': () => 'ein Token hat die Höchstzahl an Fehlversuchen erreicht (welcher, wurde nicht gemeldet)',
  'token-disabled': ({ serial }) => `Token ${serial} ist deaktiviert`,
  'token-revoked': ({ serial }) => `Token ${serial} ist widerrufen`,
  'user-lockout': () => 'Benutzersperre in privacyIDEA',
  'user-lockout-failures': () => 'Benutzersperre in privacyIDEA nach zu vielen fehlgeschlagenen Anmeldungen',
  'user-lockout-by-hand': () => 'Benutzersperre in privacyIDEA, von Hand gesetzt',
  manual: ({ text }) => (text === '' ? 'von Hand' : `von Hand: ${text}`),
  undo: ({ kind, change, text }) =>
    `rückgängig gemacht: ${CHANGES[kind] ?? kind} ${change}${text === undefined ? '' : ` (${text})`}`,
  'restored-from-folders': () => 'aus den LDIF-Ordnern übernommen',

  'no-hold-left': () => 'kein Grund für eine Sperre besteht mehr',
  'token-usable': ({ serial }) => `Token ${serial} ist wieder verwendbar`,
  'user-tokens-usable': () => 'die Token des Benutzers sind wieder verwendbar',
  'token-enrolled-anew': ({ serial }) => `Token ${serial} wurde neu ausgerollt`,
  'lockout-ended': () => 'die Benutzersperre in privacyIDEA ist aufgehoben',
  'directory-retired': ({ directory }) => `das Verzeichnis ${directory} ist stillgelegt (lockstep retire)`,
  'hold-expired': () => 'die Zeit der Sperre ist abgelaufen',
  'account-protected': () => 'das Konto ist geschützt (guards.protect) und wird nicht gesperrt',
  'unlocked-in-part': ({ places }) =>
    `kein Grund für eine Sperre besteht mehr; nicht zurückgesetzt wurde: ${places.map(germanPlace).join(', ')}`,
  'lock-adopted': () => 'die vorhandene Sperre wurde übernommen',
  'lock-release': () => 'hebt die Sperre von Lockstep auf',
  'doctor-probe': () => 'Probe von lockstep doctor',

  'holds-changed': () => 'die Gründe der Sperre haben sich geändert',
  'lock-gone': () => 'die Sperre steht nicht mehr im Verzeichnis',
  'lock-replaced': () => 'die Sperre wurde durch eine andere ersetzt',
  'lock-removed': ({ passwordSetAt }) =>
    passwordSetAt === null
      ? 'jemand hat die Sperre im Verzeichnis aufgehoben'
      : `ein neues Passwort (gesetzt ${passwordSetAt}) hat die Sperre im Verzeichnis aufgehoben`,

  'token-assigned': ({ serial }) => `Token ${serial} wurde zugewiesen`,
  'token-unassigned': ({ serial }) => `die Zuweisung von Token ${serial} wurde aufgehoben, oder er wurde gelöscht`,
  'token-moved': ({ serial }) => `Token ${serial} gehört jetzt zu einem anderen Konto`,

  'lock-not-ours': () => 'das Konto ist nicht von Lockstep gesperrt; diese Sperre bleibt unberührt',
  'lock-not-effective': () => 'die Sperre hat keine Wirkung; lockstep doctor zeigt, warum',
  'changes-paused': ({ directory }) =>
    `Änderungen${directory === null ? '' : ` im Verzeichnis ${directory}`} sind angehalten (weiter mit lockstep resume)`,
  'dry-run': () => 'Probelauf: Es wird nichts geschrieben',
  'protection-unread': ({ error }) =>
    `nicht gesperrt, solange nicht feststeht, ob das Konto geschützt ist: ${germanError(error)}`,
  'breaker-limit': ({ counted, allowed, perMs, share, until }) => {
    const where = counted === 'all' ? '' : ` (${germanCounted(counted)})`
    const part = share === null ? '' : `, ${percentOf(share)} der Konten`
    const waits = until === 'review' ? 'wartet auf lockstep review' : 'wartet auf lockstep review oder auf freien Platz'
    return `höchstens ${allowed} ${allowed === 1 ? 'Sperre' : 'Sperren'} in ${span(perMs).replace('.', ',')}${where}${part}; ${waits}`
  },
  'keeps-changing': () => 'etwas anderes ändert das Konto im Verzeichnis fortwährend',
  'account-gone': () => 'das Konto gibt es im Verzeichnis nicht mehr',
  'operation-failed': ({ error }) => germanError(error),
  'source-unread': ({ error }) => `privacyIDEA konnte nicht gefragt werden: ${germanError(error)}`,
  'mirror-held-back': () => 'die Notbremse hält zurück, was die fremde Sperre in privacyIDEA bewirken soll',
  'mirror-failed': ({ error }) =>
    `der Stand des Verzeichnisses konnte nicht nach privacyIDEA übertragen werden: ${germanError(error)}`,
  'serial-carried-elsewhere': ({ serial, at }) =>
    `Seriennummer ${serial} steht schon bei ${at.join(' und ')}: Es wurde nichts geschrieben`,
  'serial-too-long': ({ serial, attribute, length, max }) =>
    `${attribute} würde mit Seriennummer ${serial} zu lang: ${length} Zeichen, der Server nimmt ${max}`,
  several: ({ reasons }) => reasons.map(germanReason).join('; '),

  'names-nobody': () => 'nennt weder Benutzer noch Seriennummer',
  'token-without-owner': () => 'der Token gehört niemandem',
  'registration-without-serial': () => 'eine Zuweisung ohne Seriennummer',
  'unregistration-without-serial': () => 'ein Entzug ohne Seriennummer',
  'event-is-hint': () => 'privacyIDEA wird gefragt',
  'gave-up': ({ error }) => `aufgegeben: ${germanError(error)}`,
  'event-unreadable': () => 'die Meldung ist nicht lesbar; lockstep events zeigt, warum',

  'loss-held-back': ({ serial, cause }) =>
    `Token ${serial}: ${LOSSES[cause ?? 'not-listed']}, wie viele andere; Seriennummer und Sperre bleiben bis lockstep review`,
  'drift-found': ({ first }) =>
    first
      .map(({ account, serial, why }) => `${account}${serial === null ? '' : ` ${serial}`}: ${germanReason(why)}`)
      .join('; '),
  'token-not-on-record': ({ serial, login }) => `Token ${serial} von ${login} war nicht bekannt`,
  'token-listed-again': ({ serial }) => `Token ${serial} ist wieder aufgeführt`,
  'token-changed-owner': ({ serial, login }) => `Token ${serial} gehört jetzt ${login}`,
  'token-ownerless': ({ serial }) => `Token ${serial} gehört niemandem mehr`,
  'token-gone': ({ serial }) => `Token ${serial} gibt es nicht mehr`,
  'token-and-resolver-gone': ({ serial }) => `Token ${serial} gibt es nicht mehr, seinen Resolver auch nicht`,
  'token-unknown': ({ serial }) => `einen Token ${serial} gibt es nicht`,
  'token-of-another-account': ({ serial }) => `Token ${serial} gehört nicht zu diesem Konto`,
  'user-tokens-unusable': () => 'alle Token des Benutzers sind gesperrt, deaktiviert oder widerrufen',
  'serial-removed': () => 'jemand hat die Seriennummer vom Konto entfernt',
  'lock-before-store': () => 'die Sperre hat den Wert von Lockstep und bestand schon vorher',
}

const OTHERS: Readonly<Record<OtherLockCause, string>> = {
  expired: 'das Konto ist abgelaufen',
  'not-yet-valid': 'das Konto gilt noch nicht',
  'too-many-failures': 'nach zu vielen fehlgeschlagenen Anmeldungen gesperrt',
  disabled: 'im Verzeichnis deaktiviert',
  'own-value': 'sie hat den Wert, den Lockstep schreibt, und Lockstep hat sie nicht geschrieben',
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

export function germanReason({ code, params }: Reason | AnyReason): string {
  const text = Object.hasOwn(TEXTS, code) ? (TEXTS[code as keyof Shown] as (params: object) => string) : null
  return text === null ? code : text(params)
}

/** `pwdAccountLockedTime at uid=alice,…`, as the plan names a place. */
function germanPlace(place: string): string {
  return place.replace(' at ', ' bei ')
}

function germanCounted(counted: string): string {
  const [what = '', ...name] = counted.split(' ')
  return `${{ directory: 'Verzeichnis', realm: 'Realm', ou: 'OU' }[what] ?? what} ${name.join(' ')}`
}
