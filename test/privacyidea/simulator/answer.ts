import type { SimVersion } from './version.ts'

/** One request, after it was let in. */
export interface SimRequest {
  readonly method: string
  readonly path: string
  /** Of the query and the body alike, as privacyIDEA takes them. */
  readonly params: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
  /** Who asks; '' for calls that need no login. */
  readonly admin: string
}

/** What it answers, before the envelope is put around it. */
export type SimAnswer =
  | { readonly kind: 'yes'; readonly value: unknown; readonly detail?: unknown }
  | { readonly kind: 'no'; readonly status: number; readonly code: number; readonly message: string }
  | { readonly kind: 'html'; readonly status: number }
  | { readonly kind: 'unknown-path' }

export const yes = (value: unknown, detail?: unknown): SimAnswer => ({ kind: 'yes', value, detail })

export const no = (status: number, code: number, message: string): SimAnswer => ({ kind: 'no', status, code, message })

export const UNKNOWN_USER = no(400, 904, 'ERR904: The user can not be found in any resolver in this realm!')
export const RESOLVER_DOWN = no(400, 907, 'ERR907: Failed to get information from the resolver!')

export function notAllowed(action: string): SimAnswer {
  return no(403, 303, `Admin actions are defined, but the action ${action} is not allowed!`)
}

/** The bytes of an answer. */
export function rendered(
  answer: SimAnswer,
  version: SimVersion,
): { readonly status: number; readonly type: string; readonly text: string } {
  if (answer.kind === 'html') return htmlPage(answer.status)
  if (answer.kind === 'unknown-path') {
    return version.htmlNotFound ? htmlPage(404) : asJson(404, { error: 'Not found' })
  }
  const head = { id: 1, jsonrpc: '2.0', time: Date.now() / 1000, version: `privacyIDEA ${version.text}` }
  if (answer.kind === 'no') {
    const { status, code, message } = answer
    return asJson(status, { ...head, detail: null, result: { error: { code, message }, status: false } })
  }
  const { value, detail = null } = answer
  return asJson(200, { ...head, versionnumber: version.text, detail, result: { status: true, value } })
}

function asJson(status: number, body: unknown) {
  return { status, type: 'application/json', text: JSON.stringify(body) }
}

function htmlPage(status: number) {
  return {
    status,
    type: 'text/html; charset=utf-8',
    text: `<!doctype html>\n<title>${status}</title>\n<h1>Error</h1>\n`,
  }
}
