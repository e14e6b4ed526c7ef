/**
 * The accounts of the benchmark: `u1` to `u<count>`, each with one serial in its description, as they stand once every
 * user has a token.
 */
export function loginOf(index: number): string {
  return `u${index}`
}

export function serialOf(index: number): string {
  return `OATH${String(index).padStart(8, '0')}`
}

/** The id of the account's entry (entryUUID). */
export function entryIdOf(index: number): string {
  return `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`
}

/** The arguments of privacyIDEA's script handler after a wrong one-time password: serial and user are known. */
export function eventWords(index: number): string[] {
  const who = ['--serial', serialOf(index), '--user', loginOf(index), '--realm', 'example']
  return [...who, '--logged_in_user', 'none@none', '--logged_in_role', 'none']
}

/** LDIF content records (RFC 2849) of the accounts, for slapadd. */
export function accountsLdif(base: string, count: number): string {
  const records: string[] = []
  for (let index = 1; index <= count; index++) {
    const uid = loginOf(index)
    records.push(
      `dn: uid=${uid},${base}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: User ${index}\nsn: User\n` +
        `entryUUID: ${entryIdOf(index)}\nmail: ${uid}@example.org\ndescription: privacyIDEA:${serialOf(index)}\nuserPassword: userpw\n`,
    )
  }
  return records.join('\n')
}
