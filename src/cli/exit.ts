import type { ErrorCode } from '../core/error.ts'

/** Exit codes as in sysexits.h of BSD, so that cron, systemd and scripts can tell what to do. */
export const EXIT = {
  ok: 0,
  usage: 64,
  dataError: 65,
  noUser: 67,
  unavailable: 69,
  software: 70,
  cannotCreate: 73,
  ioError: 74,
  /** Try again later: the same call may succeed. */
  tempFail: 75,
  noPermission: 77,
  config: 78,
} as const

const EXIT_OF: Readonly<Record<ErrorCode, number>> = {
  usage: EXIT.usage,
  'config-invalid': EXIT.config,
  'event-invalid': EXIT.dataError,
  'directory-unreachable': EXIT.tempFail,
  'directory-timeout': EXIT.tempFail,
  'directory-tls': EXIT.config,
  'directory-bind-refused': EXIT.noPermission,
  'directory-identity-lost': EXIT.tempFail,
  'directory-changed': EXIT.config,
  'directory-busy': EXIT.tempFail,
  'directory-not-permitted': EXIT.noPermission,
  'directory-refused': EXIT.unavailable,
  'entry-not-found': EXIT.noUser,
  'write-raced': EXIT.tempFail,
  'outcome-unknown': EXIT.tempFail,
  'unknown-user': EXIT.noUser,
  'unknown-serial': EXIT.noUser,
  'ambiguous-match': EXIT.dataError,
  'realm-unmapped': EXIT.config,
  'serial-conflict': EXIT.dataError,
  'source-unreachable': EXIT.tempFail,
  'source-timeout': EXIT.tempFail,
  'source-tls': EXIT.config,
  'source-login-refused': EXIT.noPermission,
  'source-not-permitted': EXIT.noPermission,
  'source-resolver': EXIT.tempFail,
  'source-answer': EXIT.unavailable,
  'source-unproven': EXIT.tempFail,
  'source-shrunk': EXIT.tempFail,
  'mail-unreachable': EXIT.tempFail,
  'mail-timeout': EXIT.tempFail,
  'mail-tls': EXIT.config,
  'mail-login-refused': EXIT.noPermission,
  'mail-deferred': EXIT.tempFail,
  'mail-refused': EXIT.unavailable,
  'store-busy': EXIT.tempFail,
  'store-unavailable': EXIT.unavailable,
  'store-corrupt': EXIT.dataError,
  'disk-full': EXIT.ioError,
  'file-not-permitted': EXIT.noPermission,
  'file-io': EXIT.ioError,
  'address-in-use': EXIT.unavailable,
  'already-running': EXIT.unavailable,
  'lease-lost': EXIT.tempFail,
  'limit-exceeded': EXIT.dataError,
  'not-ready': EXIT.tempFail,
  internal: EXIT.software,
}

/** The one place that turns an error code into an exit code. */
export function exitOf(code: ErrorCode): number {
  return EXIT_OF[code]
}
