import type { EnrollState, Enrollee, Enrollment, EnrollType } from '../../core/source/enrollment.ts'
import type { Login, Realm, Serial } from '../../core/names.ts'
import type { UserOfSource } from '../../core/source/token.ts'

/**
 * Making tokens in privacyIDEA. Fails as PrivacyIdeaPort does; the rights are `enrollTOTP`, `enrollHOTP`, `delete`, `tokenlist`
 * and `userlist`.
 */
export interface EnrollPort {
  /** Null where there is no such user, or where the user store does not answer: see proveUnknown. */
  findUser(login: Login, realm: Realm): Promise<UserOfSource | null>
  /** Fails with `source-resolver` where the user store does not answer. */
  proveUnknown(login: Login, realm: Realm): Promise<void>
  /** The user's address and name as privacyIDEA has them; null as findUser. */
  userDetails(user: UserOfSource): Promise<{ readonly mail: string; readonly name: string } | null>
  /** Serials of the user's tokens that can be used. Fails with `source-resolver`, `unknown-user`. */
  usableTokens(user: UserOfSource): Promise<readonly Serial[]>
  /**
   * A new token with this serial and a secret that privacyIDEA generates.
   * @returns the otpauth URL, which holds the secret: it is kept in memory alone
   */
  makeToken(user: UserOfSource, serial: Serial, type: EnrollType): Promise<string>
  /** @returns false where there was none */
  deleteToken(serial: Serial): Promise<boolean>
}

/** What is on record of a roll-out, each step durable before the next one begins. Fails as the store does. */
export interface RolloutPort {
  /** Of these users; those without a record are left out. */
  read(rollout: string, enrollees: readonly Enrollee[]): Promise<readonly Enrollment[]>
  /**
   * Claims a user for this process.
   * @returns false where another process that lives works on them
   */
  claim(rollout: string, enrollee: Enrollee): Promise<boolean>
  step(rollout: string, enrollee: Enrollee, to: EnrollStep): Promise<void>
}

export interface EnrollStep {
  readonly state: EnrollState
  readonly serial: Serial | null
  readonly mailId: string | null
  readonly why: string
  /** Who ordered it, for the journal. */
  readonly actor: string
}
