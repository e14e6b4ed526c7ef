import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { processorMs } from './process-cost.ts'

/** A program that was run to its end: what it printed, how long it took, and the most memory that it held. */
export interface WatchedRun {
  readonly stdout: string
  readonly elapsedMs: number
  /** The kernel's own mark of the most (VmHWM, proc(5)), in MiB. */
  readonly peakMiB: number
  /** Processor time of all its threads. */
  readonly processorMs: number
}

const LOOK_EVERY_MS = 20

/** Fails when the program does. */
export async function runWatched(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<WatchedRun> {
  const startedAt = performance.now()
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'exit')
  const said = Promise.all([text(child.stdout), text(child.stderr)])
  let peakMiB = 0
  let spentMs = 0
  while (child.exitCode === null && child.signalCode === null) {
    peakMiB = Math.max(peakMiB, await peakOf(child.pid ?? 0))
    spentMs = Math.max(spentMs, await processorMs(child.pid ?? 0).catch(() => 0))
    await Promise.race([ended, pause(LOOK_EVERY_MS)])
  }
  const elapsedMs = performance.now() - startedAt
  const [stdout, stderr] = await said
  if (child.exitCode !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${child.exitCode}: ${stderr}`)
  return { stdout, elapsedMs, peakMiB, processorMs: spentMs }
}

/** 0 where it is gone already. */
async function peakOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024
}
