/** What differs between the versions, as it was measured (docs/reference/privacyidea-versions.md). */
export interface SimVersion {
  readonly text: string
  readonly enrolledState: '' | 'enrolled'
  readonly pageSizeMax: number
  /** The filters `userid` and `resolver` of the token list are used. */
  readonly filtersById: boolean
  /** An unknown realm of a user is answered 404 instead of 400. */
  readonly realmNotFound: boolean
  readonly htmlNotFound: boolean
  /** A policy with the right `configread` keeps all others from the system's settings. */
  readonly guardsSettings: boolean
  readonly hasConditionalAccess: boolean
  /** With the user store down: one serial is answered with a resolver error, and reset and unassign are done. */
  readonly worksWithoutUserStore: boolean
  /** Tokens of a resolver that is in no realm do not show. */
  readonly hidesTokensOfNoRealm: boolean
  /** The list of users shows all of one login, whatever resolver is asked for. */
  readonly listsEveryResolver: boolean
  readonly loginRefused: string
}

const OLD = {
  enrolledState: '',
  pageSizeMax: Infinity,
  filtersById: true,
  realmNotFound: false,
  htmlNotFound: false,
  guardsSettings: false,
  hasConditionalAccess: false,
  worksWithoutUserStore: false,
  hidesTokensOfNoRealm: true,
  listsEveryResolver: true,
  loginRefused: 'Authentication failure. Wrong credentials',
} as const

export const VERSIONS = {
  '3.11': { ...OLD, text: '3.11.4', htmlNotFound: true },
  '3.12': { ...OLD, text: '3.12.3', realmNotFound: true },
  '3.13': { ...OLD, text: '3.13.4', filtersById: false, guardsSettings: true },
  '3.14': {
    ...OLD,
    text: '3.14',
    enrolledState: 'enrolled',
    pageSizeMax: 1000,
    guardsSettings: true,
    hasConditionalAccess: true,
    worksWithoutUserStore: true,
    hidesTokensOfNoRealm: false,
    listsEveryResolver: false,
    loginRefused: 'Authentication failed.',
  },
} satisfies Record<string, SimVersion>

export type VersionName = keyof typeof VERSIONS
