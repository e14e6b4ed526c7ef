import { TYPE_TRAITS, typesThat } from '../../core/settings/directory-type.ts' /**
 * The next step for pending or failed work, by the code of the error or the status of the account: the record keeps the
 * reason, and its reader needs the action. '' where no action is needed, or the reason has it.
 */
export function adviceFor(code: string): string {
  return ADVICE[code] ?? ''
}

const DOCTOR = 'lockstep doctor --probe LOGIN tries it and prints what to change'
const SERVER = 'check that the directory server runs; it is tried again by itself'

const pages = new Set(typesThat((traits) => traits.isLockSubjectToPolicy).map((type) => TYPE_TRAITS[type].page))

const ADVICE: Readonly<Record<string, string>> = {
  'directory-unreachable': SERVER,
  'directory-timeout': SERVER,
  'directory-busy': SERVER,
  'directory-tls': DOCTOR,
  'directory-bind-refused': DOCTOR,
  'directory-identity-lost': DOCTOR,
  'directory-changed': 'correct its URL; if it is meant: lockstep directory accept NAME',
  'directory-not-permitted': DOCTOR,
  'directory-refused': DOCTOR,
  'directory-cut': 'raise the limit of searches; lockstep doctor prints the lines',
  'unknown-user':
    'check that the user exists, and userFilter and base; lockstep doctor --probe LOGIN shows what is found',
  'ambiguous-match': 'narrow userFilter or base so that it finds one account',
  'realm-unmapped': 'name the realm under realms in the configuration, then lockstep retry',
  'value-too-long':
    'shorten the attribute that holds the serials, or choose another serialAttribute; then lockstep retry',
  'serial-conflict': 'take the serial out of the account that it does not belong to, then lockstep retry',
  'disk-full': 'free some disk space; it goes on by itself',
  'file-not-permitted': 'lockstep doctor looks at the folders and prints what to change',
  breaker: 'lockstep review shows what waits; approve or reject it',
  protected: 'lockstep show LOGIN shows what protects it; lockstep unlock LOGIN ends its holds',
  'not-effective': `lockstep doctor prints what to change (${[...pages].join(', ')})`,
}
