import type { DirectorySettings } from '../../core/settings/settings.ts'
import { LOCK_ATTRIBUTE } from '../../directory/drivers/openldap.ts'

/** Ready-made lines for OpenLDAP, as `lockstep doctor` prints them. The long form is docs/how-to/openldap.md. */

/** How to find the database's entry in cn=config, which the lines below need in place of `{1}mdb`. */
function databaseLine(context: string): string {
  return `# the entry of the database: ldapsearch -Q -Y EXTERNAL -H ldapi:/// -LLL -b cn=config '(olcSuffix=${context})' dn`
}

/**
 * root may write the configuration; an administrator may write the data (`-W`): on Debian root may not. Existing
 * entries are skipped.
 */
const APPLY = 'ldapmodify -c -Q -Y EXTERNAL -H ldapi:/// <<EOF'
const applyAsAdmin = (context: string): string => `ldapmodify -c -x -H ldapi:/// -D cn=admin,${context} -W <<EOF`

const DATABASE = 'olcDatabase={1}mdb,cn=config'

/** One value of an entry of cn=config. */
function modified(dn: string, how: 'add' | 'replace', attribute: string, value: string): readonly string[] {
  return [APPLY, `dn: ${dn}`, 'changetype: modify', `${how}: ${attribute}`, `${attribute}: ${value}`, 'EOF']
}

/** Puts a clause before the others of the database. */
function accessClause(context: string, clause: string): readonly string[] {
  return [databaseLine(context), ...modified(DATABASE, 'add', 'olcAccess', `{0}${clause}`)]
}

/** The right to write one attribute, and its form in slapd.conf. */
export function writeRightAdvice(settings: DirectorySettings, attribute: string, context: string): string {
  // No other account may remove a lock by a more general clause, as `by self write`.
  const others = attribute === LOCK_ATTRIBUTE ? 'by users read' : 'by * break'
  const by = `by dn.exact="${settings.bindDn}" write ${others}`
  return [
    ...accessClause(context, `to dn.subtree="${settings.base}" attrs=${attribute} ${by}`),
    '# slapd.conf, before the other access lines of the database:',
    `#   access to dn.subtree="${settings.base}" attrs=${attribute} ${by}`,
  ].join('\n')
}

export function readRightAdvice(settings: DirectorySettings, context: string): string {
  const clause = `to dn.subtree="${settings.base}" by dn.exact="${settings.bindDn}" read by * break`
  return accessClause(context, clause).join('\n')
}

/** The attributes of cn=config that `lockstep` reads: the suffix, the overlay and its default policy, the indexes. */
const CONFIG_ATTRIBUTES = 'entry,objectClass,olcSuffix,olcOverlay,olcPPolicyDefault,olcDbIndex'

export function configReadAdvice(settings: DirectorySettings): string {
  const right = `to dn.subtree="cn=config" attrs=${CONFIG_ATTRIBUTES} by dn.exact="${settings.bindDn}" read by * break`
  return [
    '# the right to see which policy applies, and nothing secret (as root on the server):',
    ...modified('olcDatabase={0}config,cn=config', 'add', 'olcAccess', `{0}${right}`),
    '# slapd.conf, before the first other "database" line:',
    '#   database config',
    `#   access ${right}`,
  ].join('\n')
}

/** The right to read one policy; and the policy, where there is none. */
export function policyReadAdvice(settings: DirectorySettings, policyDn: string, context: string): string {
  return [
    ...accessClause(
      context,
      `to dn.exact="${policyDn}" attrs=entry,objectClass,pwdLockout,pwdLockoutDuration by dn.exact="${settings.bindDn}" read by * break`,
    ),
    `# where the policy itself is missing, make it: docs/how-to/openldap.md, 2`,
  ].join('\n')
}

export function moduleAdvice(context: string): string {
  return [
    '# as root on the server; slapd.conf: "moduleload ppolicy" at the top',
    ...modified('cn=module{0},cn=config', 'add', 'olcModuleLoad', 'ppolicy'),
    overlayAdvice(context),
  ].join('\n')
}

/** The overlay with a default policy, and that policy. */
export function overlayAdvice(context: string): string {
  return [
    databaseLine(context),
    '# slapd.conf, after the lines of the database: "overlay ppolicy" and "ppolicy_default ..."',
    APPLY,
    'dn: olcOverlay=ppolicy,olcDatabase={1}mdb,cn=config',
    'changetype: add',
    'objectClass: olcOverlayConfig',
    'objectClass: olcPPolicyConfig',
    'olcOverlay: ppolicy',
    `olcPPolicyDefault: ${defaultPolicyDn(context)}`,
    'EOF',
    policyAdvice(context),
  ].join('\n')
}

export function defaultPolicyAdvice(context: string): string {
  return [
    databaseLine(context),
    `# slapd.conf, below "overlay ppolicy": ppolicy_default "${defaultPolicyDn(context)}"`,
    ...modified(
      'olcOverlay={0}ppolicy,olcDatabase={1}mdb,cn=config',
      'replace',
      'olcPPolicyDefault',
      defaultPolicyDn(context),
    ),
    policyAdvice(context),
  ].join('\n')
}

function policyAdvice(context: string): string {
  return [
    '# the policy itself, as an administrator of the data:',
    applyAsAdmin(context),
    `dn: ou=policies,${context}`,
    'changetype: add',
    'objectClass: organizationalUnit',
    'ou: policies',
    '',
    `dn: ${defaultPolicyDn(context)}`,
    'changetype: add',
    'objectClass: applicationProcess',
    'objectClass: pwdPolicy',
    'cn: default',
    'pwdAttribute: userPassword',
    'pwdLockout: TRUE',
    'pwdMaxFailure: 0',
    'EOF',
  ].join('\n')
}

export function lockoutAdvice(policyDn: string, context: string): string {
  return [
    '# pwdMaxFailure: 0 keeps the server from locking by itself after wrong passwords',
    applyAsAdmin(context),
    `dn: ${policyDn}`,
    'changetype: modify',
    'replace: pwdLockout',
    'pwdLockout: TRUE',
    'EOF',
  ].join('\n')
}

/** Beside the limits for all accounts (slapd-config(5), olcLimits). */
export function searchLimitAdvice(settings: DirectorySettings, context: string): string {
  const limits = `dn.exact="${settings.bindDn}" size=unlimited time=unlimited`
  return [
    databaseLine(context),
    ...modified(DATABASE, 'add', 'olcLimits', `{0}${limits}`),
    '# slapd.conf, in the section of the database:',
    `#   limits ${limits}`,
  ].join('\n')
}

export function indexAdvice(attribute: string, context: string): string {
  return [databaseLine(context), ...modified(DATABASE, 'add', 'olcDbIndex', `${attribute} eq`)].join('\n')
}

function defaultPolicyDn(context: string): string {
  return `cn=default,ou=policies,${context}`
}
