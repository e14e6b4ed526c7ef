import { AppError } from '../../core/error.ts'
import type { HttpSettings } from '../../core/settings/settings.ts'
import type { SecretReader } from '../../ports/secret.ts'

const HOOK_PATH = '/hooks/privacyidea'
/** Addresses to listen on that cannot be called. */
const EVERYWHERE = new Set(['0.0.0.0', '::', '*', ''])

/**
 * The address at which privacyIDEA calls the webhook, up to the kind, including the secret: never to be shown.
 * @param address `http://host:port`, perhaps with a path of a proxy; null: the webhook's own address
 */
export function hookUrlOf(http: HttpSettings | null, address: string | null, readSecret: SecretReader): string {
  if (http === null) {
    throw new AppError('config-invalid', 'the webhook is off: intake.http is missing in the configuration', {
      hint: 'Write intake.http with listen and hookSecretFile, or use --via script.',
    })
  }
  const base = address === null ? listening(http) : checked(address)
  return `${base}${HOOK_PATH}/${readSecret(http.hookSecret).split('/').map(encodeURIComponent).join('/')}`
}

function listening(http: HttpSettings): string {
  if (!EVERYWHERE.has(http.host)) return `http://${http.host.includes(':') ? `[${http.host}]` : http.host}:${http.port}`
  throw new AppError('usage', `--hook-url is missing: the webhook listens on every address (${http.host})`, {
    hint: `Name the one that privacyIDEA reaches: --hook-url http://HOST:${http.port}`,
  })
}

function checked(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : null
  const isWhole = url !== null && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === ''
  if (!isWhole || url.username !== '' || url.pathname.includes(HOOK_PATH)) {
    throw new AppError('usage', '--hook-url is no address such as http://lockstep.example.org:8640', {
      hint: 'Without the path and the secret: they are added, the secret from intake.http.hookSecretFile.',
    })
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}
