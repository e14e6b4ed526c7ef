/** One person of the demo's directory. */
export interface Person {
  readonly uid: string
  readonly name: string
  /** A value of the person's own in the attribute that also carries the serials. */
  readonly room: string
}

const NAMES = [
  'Alice Archer',
  'Bob Baker',
  'Carol Carter',
  'Dave Dyer',
  'Erin Eaton',
  'Frank Fisher',
  'Grace Gardner',
  'Heidi Hunter',
  'Ivan Ironside',
  'Judy Joiner',
  'Karl Knight',
  'Laura Lister',
  'Mallory Mason',
  'Niaj Naylor',
  'Olivia Osborne',
  'Peggy Potter',
  'Quentin Quill',
  'Rupert Ryder',
  'Sybil Sawyer',
  'Trent Turner',
  'Ursula Usher',
  'Victor Vintner',
  'Wendy Weaver',
  'Xavier Xylander',
  'Yvonne Yeoman',
] as const

/** The 25 people of the demo. */
export const PEOPLE: readonly Person[] = NAMES.map((name, index) => ({
  uid: name.slice(0, name.indexOf(' ')).toLowerCase(),
  name,
  room: `Room ${101 + index}`,
}))

/** A password that is good for a demo and nothing else. */
export function passwordOf(uid: string): string {
  return `${uid}-demo-pw`
}

export function dnOf(uid: string, base: string): string {
  return `uid=${uid},${base}`
}

/** The people as LDIF content records (RFC 2849), to be loaded under `base`. */
export function peopleLdif(base: string): string {
  return PEOPLE.map(
    (person) =>
      `dn: ${dnOf(person.uid, base)}\n` +
      'objectClass: inetOrgPerson\n' +
      `uid: ${person.uid}\n` +
      `cn: ${person.name}\n` +
      `sn: ${person.name.slice(person.name.indexOf(' ') + 1)}\n` +
      `mail: ${person.uid}@example.org\n` +
      `description: ${person.room}\n` +
      `userPassword: ${passwordOf(person.uid)}\n`,
  ).join('\n')
}
