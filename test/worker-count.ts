/** What a worker of the tests may need at the same time as the others: itself, and the real servers that its test started. */
const GIB_PER_WORKER = 3
/** More of them only wait for the disk that all these servers write to. */
const WORKERS_MAX = 4

/** How many test files run at the same time: as many as there are processors and memory for, at least one. */
export function workerCount(processors: number, memoryBytes: number): number {
  const forMemory = Math.floor(memoryBytes / 2 ** 30 / GIB_PER_WORKER)
  return Math.max(1, Math.min(processors, forMemory, WORKERS_MAX))
}
