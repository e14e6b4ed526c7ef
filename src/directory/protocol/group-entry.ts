import type { Entry } from 'ldapts'
import { textsOf } from './entry.ts'

/** The entry of a group, of any kind: RFC 4519, RFC 2307 and Active Directory. */

export const MEMBER_ATTRIBUTES = ['member', 'uniqueMember']
export const MEMBER_LOGIN_ATTRIBUTE = 'memberUid'
/** Of a group of Active Directory; its last part identifies the group to members by primary group. */
export const SID_ATTRIBUTE = 'objectSid'
/** Classes whose schema (RFC 4519) asks for a member at least: where none shows, it is hidden. */
export const NEVER_EMPTY: readonly string[] = ['groupofnames', 'groupofuniquenames']
/** A group of Active Directory has a login name as its users have. */
const CLASSES: readonly string[] = [...NEVER_EMPTY, 'group']

/** Also without a member. */
export function isGroup(entry: Entry): boolean {
  if ([...MEMBER_ATTRIBUTES, MEMBER_LOGIN_ATTRIBUTE].some((name) => textsOf(entry, name).length > 0)) return true
  return classesOf(entry).some((name) => CLASSES.includes(name))
}

/** In lower case. */
export function classesOf(entry: Entry): readonly string[] {
  return textsOf(entry, 'objectClass').map((name) => name.toLowerCase())
}

/** RFC 4517, 3.3.21: a name may have a bit string that distinguishes it from earlier holders of the name. */
export function withoutUid(value: string): string {
  return value.replace(/#'[01]*'B$/, '')
}

/** Active Directory gives 1,500 values at once: a million members are fewer ranges. */
const RANGES_MAX = 1_000

/**
 * All values, also where the server returns them in ranges (MS-ADTS, 3.1.1.3.1.3.3); where they are more than
 * `valuesMax`, those that were read by then.
 * @param more reads the entry once more, with this attribute alone
 */
export async function allValuesOf(
  entry: Entry,
  attribute: string,
  more: (attribute: string) => Promise<Entry | null>,
  valuesMax: number,
): Promise<readonly string[]> {
  const values = textsOf(entry, attribute).filter((text) => text !== '')
  let ranged: Entry | null = entry
  for (let ranges = 0; ranges < RANGES_MAX && ranged !== null && values.length <= valuesMax; ranges += 1) {
    const name: string | undefined = Object.keys(ranged).find((each) => isRange(each, attribute))
    if (name === undefined) return values
    for (const text of textsOf(ranged, name)) values.push(text)
    const end = /-(\d+)$/.exec(name)?.[1]
    if (end === undefined) return values
    ranged = await more(`${attribute};range=${Number(end) + 1}-*`)
  }
  return values
}

function isRange(name: string, attribute: string): boolean {
  return name.toLowerCase().startsWith(`${attribute.toLowerCase()};range=`)
}
