/**
 * A switch for tests alone: every sentence is rendered as its bare code, which proves that nothing decides by a
 * sentence. Reasons, errors and LDIF headers ask here; the environment of the process sets it
 * (LOCKSTEP_INTERNAL_BARE_REASONS=1).
 */
let isBare = false

export function renderBareCodes(isOn: boolean): void {
  isBare = isOn
}

export function rendersBareCodes(): boolean {
  return isBare
}

/** The environment variable of the switch. */
export const BARE_REASONS_VARIABLE = 'LOCKSTEP_INTERNAL_BARE_REASONS'
