/** The arguments as privacyIDEA's script handler passes them: every option is there, `none` stands for nothing. */
export function asAdmin(serial: string | null, user: string | null, realm: string | null = 'r1'): string[] {
  return args(serial, user, user === null ? null : realm, 'admin@', 'admin')
}

/** As of validate/check, where nobody is logged in. */
export function asNobody(serial: string | null, user: string | null, realm: string | null = 'r1'): string[] {
  return args(serial, user, user === null ? null : realm, 'none@none', 'none')
}

function args(serial: string | null, user: string | null, realm: string | null, who: string, role: string): string[] {
  return [
    ...['--serial', serial ?? 'none', '--user', user ?? 'none', '--realm', realm ?? 'none'],
    ...['--logged_in_user', who, '--logged_in_role', role],
  ]
}
