import { isWindowsName } from '../../core/settings/bind-name.ts'
import { LOCK_CONFIGURED, WINDOWS_NAMED, type DirectoryType } from '../../core/settings/directory-type.ts'
import { isLoopback } from '../../core/loopback.ts'
import { parseDirectoryName } from '../../core/names.ts'
import { guardRelations } from './guard-relations.ts'
import { error, sectionAt, warning, type Relation } from './relation.ts'
import { splitDnRelations } from './split-dns.ts'
import { isSection, type Json } from '../keys/value.ts'
import type { ConfigFile, DirectoryFile, MailFile } from '../keys/schema.ts'

/** @param raw the file as plain objects, with any content */
export function relationsOf(raw: unknown): Relation[] {
  const root = sectionAt(raw)
  const directories = sectionAt(root['directories'])
  const http = sectionAt(root['intake'])['http']
  return [
    ...Object.entries(directories).flatMap(([name, directory]) => directoryRelations(name, sectionAt(directory))),
    ...realmRelations(root, directories),
    ...(http === undefined || http === null ? [] : oneSecret(['intake', 'http'], sectionAt(http), 'hookSecret')),
    ...sourceRelations(root),
    ...withoutSource(root),
    ...guardRelations(root),
    ...splitDnRelations(root),
    ...mailRelations(root),
  ]
}

function directoryRelations(name: string, directory: Json): Relation[] {
  const path = ['directories', name]
  const found = oneSecret(path, directory, 'bindPassword')
  if (parseDirectoryName(name) === null) {
    found.push(error(path, 'the name of a directory is 1 to 64 lower-case letters, digits, _ and -'))
  }
  const { type, lock, bindDn } = directory
  if (
    typeof type === 'string' &&
    !isOneOf(WINDOWS_NAMED, type) &&
    typeof bindDn === 'string' &&
    isWindowsName(bindDn)
  ) {
    const message = `only type ${WINDOWS_NAMED.join(', ')} takes user@domain or DOMAIN\\user; type ${type} needs the DN of the account, as in cn=lockstep,dc=example,dc=org`
    found.push(error([...path, 'bindDn'], message))
  }
  if (isOneOf(LOCK_CONFIGURED, type) && lock === undefined) {
    found.push(error(path, `type ${type} needs the key lock, which defines what locked means`))
  }
  if (typeof type === 'string' && !isOneOf(LOCK_CONFIGURED, type) && lock !== undefined) {
    const which = LOCK_CONFIGURED.join(', ')
    found.push(
      error([...path, 'lock'], `this key is for type ${which}; type ${type} has a lock of its own. Leave it out`),
    )
  }
  for (const [index, step] of (Array.isArray(lock) ? lock : []).entries()) {
    const ways = ['set', 'add', 'remove'].filter((way) => way in sectionAt(step))
    if (ways.length !== 1)
      found.push(error([...path, 'lock', index], `a step has exactly one of set, add, remove; here are ${ways.length}`))
  }
  return found
}

function isOneOf(types: readonly DirectoryType[], type: unknown): type is DirectoryType {
  return types.some((each) => each === type)
}

function oneSecret(path: readonly PropertyKey[], section: Json, stem: string): Relation[] {
  const written = [`${stem}File`, `${stem}Env`].filter((key) => section[key] !== undefined)
  if (written.length === 1) return []
  const what = written.length === 0 ? 'is missing' : 'is there twice'
  return [error(path, `the secret ${what}: write one of ${stem}File and ${stem}Env`)]
}

function realmRelations(root: Json, directories: Json): Relation[] {
  const names = Object.keys(directories)
  const realms = sectionAt(root['realms'])
  const found: Relation[] = []
  for (const [realm, target] of Object.entries(realms)) {
    const missing = (Array.isArray(target) ? target : [target]).filter(
      (name) => typeof name === 'string' && !names.includes(name),
    )
    if (missing.length === 0) continue
    const what = Array.isArray(target)
      ? `there is no directory ${missing.join(', ')}`
      : 'there is no directory of this name'
    found.push(error(['realms', realm], `${what}; directories are: ${names.join(', ') || 'none'}`))
  }
  if ('directories' in root && names.length === 0)
    found.push(error(['directories'], 'at least one directory is needed, as in corp:'))
  if (Object.keys(realms).length === 0 && names.length > 1) {
    found.push(
      error(['realms'], 'with several directories, name here which realm belongs to which, as in { example: corp }'),
    )
  }
  return found
}

const PASSWORD_KEYS = ['passwordFile', 'passwordEnv']
const TOKEN_KEYS = ['tokenFile', 'tokenEnv', 'apiKeyFile']

/** Exactly one way to log in: user and password, or a token. */
function sourceRelations(root: Json): Relation[] {
  if (!isSection(root['privacyidea'])) return []
  const source = root['privacyidea']
  const path = ['privacyidea']
  const written = [...PASSWORD_KEYS, ...TOKEN_KEYS].filter((key) => source[key] !== undefined)
  if (written.length !== 1) {
    const what = written.length === 0 ? 'is missing' : 'is there several times'
    return [error(path, `the secret ${what}: write one of ${[...PASSWORD_KEYS, ...TOKEN_KEYS].join(', ')}`)]
  }
  const isPassword = PASSWORD_KEYS.some((key) => written.includes(key))
  if (isPassword && source['user'] === undefined) return [error(path, 'the key user is missing: whose password is it?')]
  const idle = isPassword ? [] : ['user', 'realm'].filter((key) => source[key] !== undefined)
  return idle.map((key) => error([...path, key], `belongs to a password; with ${written.join()} leave it out`))
}

/** Settings that can be used, or have an effect, with privacyIDEA's API only. */
function withoutSource(root: Json): Relation[] {
  if (isSection(root['privacyidea'])) return []
  const [policy, resync] = [sectionAt(root['policy']), sectionAt(root['resync'])]
  const needs = (key: string, value: string): Relation[] =>
    policy[key] === value
      ? [error(['policy', key], `${value} needs privacyIDEA's API: write the section privacyidea`)]
      : []
  const idle = (section: string, written: Json, keys: readonly string[]): Relation[] =>
    keys
      .filter((key) => written[key] !== undefined)
      .map((key) => warning([section, key], 'has no effect without the section privacyidea'))
  return [
    ...needs('lockWhen', 'all-tokens-locked'),
    ...needs('onForeignUnlock', 'reset-token'),
    ...needs('mirrorDirectoryLocks', 'user-lock'),
    ...needs('mirrorDirectoryLocks', 'disable-tokens'),
    ...idle('policy', policy, ['disabledTokens', 'revokedTokens', 'resetTokenOnTtl']),
    ...idle('resync', resync, ['scan', 'shrinkLimit']),
  ]
}

/** A password where a user is configured, and none without one. */
function mailRelations(root: Json): Relation[] {
  if (!isSection(root['mail'])) return []
  const mail = root['mail']
  const written = ['passwordFile', 'passwordEnv'].filter((key) => mail[key] !== undefined)
  const found: Relation[] = []
  if (mail['user'] !== undefined) found.push(...oneSecret(['mail'], mail, 'password'))
  else if (written.length > 0) found.push(error(['mail'], 'the key user is missing: whose password is it?'))
  if (sectionAt(mail['owner'])['from'] === 'privacyidea' && !isSection(root['privacyidea'])) {
    const message = "privacyidea needs privacyIDEA's API: write the section privacyidea"
    found.push(error(['mail', 'owner', 'from'], message))
  }
  return found
}

/** Contradictions that can be found only once every value is read. */
export function relationsOfValues(file: ConfigFile): Relation[] {
  const directories = Object.entries(file.directories)
  return [
    ...directories.flatMap(([name, directory]) => urlRelations(name, directory)),
    ...(file.privacyidea === null ? [] : sourceUrlRelations(file.privacyidea.url)),
    ...(file.mail === null ? [] : smtpRelations(file.mail)),
  ]
}

function urlRelations(name: string, directory: DirectoryFile): Relation[] {
  if (directory.startTls !== 'off') return []
  const message =
    'with startTls: off the bind password crosses the network in the clear; use ldaps:// or startTls: required'
  return directory.urls.flatMap((url, index) => {
    const isSafe = url.toLowerCase().startsWith('ldaps:') || isLoopback(new URL(url).hostname)
    return isSafe ? [] : [warning(['directories', name, 'urls', index], message)]
  })
}

function sourceUrlRelations(url: string): Relation[] {
  const { protocol, hostname } = new URL(url)
  if (protocol === 'https:' || isLoopback(hostname)) return []
  const message = 'with http:// the password and the token cross the network in the clear; use https://'
  return [warning(['privacyidea', 'url'], message)]
}

function smtpRelations({ smtp, startTls, user }: MailFile): Relation[] {
  if (smtp.isSecure || startTls !== 'off' || isLoopback(smtp.host)) return []
  const what = user === undefined ? 'mails cross' : 'the password and the mails cross'
  const message = `with startTls: off ${what} the network in the clear; use smtps:// or startTls: required`
  return [warning(['mail', 'smtp'], message)]
}
