import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parseEhloName } from '../core/mail/ehlo-name.ts'
import type { SmtpSettings } from '../core/settings/mail-settings.ts'

const HOSTS = '/etc/hosts'
const HOSTS_LENGTH_MAX = 1_048_576
/** A local name of the machine, which no server can look up. */
const LOCAL = /\.(?:localdomain|localhost|local)$/i
const NO_NAME = '[127.0.0.1]'

/** The name that this machine gives to the mail server: as configured, else its own full name, where it has one. */
export function ehloNameOf({ ehloName }: Pick<SmtpSettings, 'ehloName'>): string {
  return ehloName ?? fullName(hostname(), readHosts()) ?? NO_NAME
}

/**
 * The full name of a machine: its host name where that has a domain, else the first name in `/etc/hosts` that begins
 * with it.
 * @returns null where it has none
 */
export function fullName(host: string, hosts: string): string | null {
  // The server judges unusual names; an address is in brackets.
  if (host.includes('.')) return parseEhloName(`[${host}]`) ?? host
  const names = hosts.split('\n').flatMap((line) => line.replace(/#.*/, '').trim().split(/\s+/).slice(1))
  const isOurs = (name: string): boolean => name.toLowerCase().startsWith(`${host.toLowerCase()}.`) && !LOCAL.test(name)
  return (
    names
      .filter(isOurs)
      .map(parseEhloName)
      .find((name) => name !== null) ?? null
  )
}

function readHosts(): string {
  try {
    return readFileSync(HOSTS, 'utf8').slice(0, HOSTS_LENGTH_MAX)
  } catch {
    return ''
  }
}
