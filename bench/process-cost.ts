import { readFile } from 'node:fs/promises'

/** Linux counts processor time in these for every program (USER_HZ, 1/100 s). */
const TICK_MS = 10

/** Resident memory of a process in MiB (VmRSS, proc(5)). */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
  if (kib === undefined) throw new Error(`no VmRSS in /proc/${pid}/status`)
  return Number(kib) / 1024
}

/** Processor time that a process took so far, over all its threads, in milliseconds (proc(5), fields 14 and 15). */
export async function processorMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}
