import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { systemBootClock } from './boot-clock.ts'

/**
 * The process that works on a store: `host:pid:start:boot:namespace`, so that a killed process is recognized as dead at
 * once. The namespace is that of its process id (pid_namespaces(7)). Older versions left out boot and namespace.
 */

/** Key in `meta` of a process that works on accounts, with the owner after it; see workerValue. */
export const WORKER_KEY = 'worker '

/** Heartbeat interval of one of another host or PID namespace; without one for HEARTBEAT_STALE_MS it counts as gone. */
export const HEARTBEAT_MS = 10_000
export const HEARTBEAT_STALE_MS = 45_000

const OWN_NAMESPACE = pidNamespace()

export function ownerOfThisProcess(): string {
  return `${hostname()}:${process.pid}:${startTimeOf(process.pid) ?? '0'}:${systemBootClock.bootId}:${OWN_NAMESPACE}`
}

/** Where an owner runs, as seen from here: only `here` do process ids mean the same. */
export type OwnerPlace = 'here' | 'other-host' | 'other-pid-namespace'

export function placeOfOwner(owner: string): OwnerPlace {
  const [host, , , , namespace = ''] = owner.split(':')
  if (host !== hostname()) return 'other-host'
  // One without a namespace is judged as older versions judged it.
  const isKnown = namespace !== '' && OWN_NAMESPACE !== ''
  return isKnown && namespace !== OWN_NAMESPACE ? 'other-pid-namespace' : 'here'
}

/**
 * True when the owner is certain to be gone. False as well for one of another host or PID namespace, of which nothing
 * is known: its lease or its heartbeat decides.
 */
export function isOwnerDead(owner: string): boolean {
  const [host, pid, startTime, bootId = systemBootClock.bootId] = owner.split(':')
  if (host !== hostname()) return false
  // Process ids, start times and namespaces are used again after a boot. Older versions did not write which one it was.
  if (bootId !== systemBootClock.bootId) return true
  return placeOfOwner(owner) === 'here' && startTimeOf(Number(pid)) !== startTime
}

/** @param lastMs its newest heartbeat, in milliseconds since 1970 */
export function isOwnerAlive(owner: string, lastMs: number, nowMs: number): boolean {
  if (isOwnerDead(owner)) return false
  return placeOfOwner(owner) === 'here' || nowMs - lastMs < HEARTBEAT_STALE_MS
}

export type WorkerState = 'preparing' | 'working'

/** A row of `meta` under WORKER_KEY: its state, and its newest heartbeat. Older versions wrote no heartbeat. */
export function workerValue(state: WorkerState, nowMs: number): string {
  return `${state} ${nowMs}`
}

export function readWorker(
  row: { readonly key: string; readonly value: string },
  nowMs: number,
): { readonly isAlive: boolean; readonly state: WorkerState } {
  const owner = row.key.slice(WORKER_KEY.length)
  const [state, lastMs = String(nowMs)] = row.value.split(' ')
  const isAlive = isOwnerAlive(owner, Number(lastMs), nowMs)
  return { isAlive, state: state === 'preparing' ? 'preparing' : 'working' }
}

/** The scope of process ids; '' where the system does not provide it. */
export function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid').replace(/\D+/g, '')
  } catch {
    return ''
  }
}

/** Start of a process in clock ticks since boot (proc(5), field 22); null when there is none. */
function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
