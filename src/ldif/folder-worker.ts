import { parentPort, workerData } from 'node:worker_threads'
import { openBatchRunner, type BatchOptions } from './disk-batch.ts'
import type { DiskJob } from './disk-job.ts'

/**
 * The entry of the worker thread that writes the LDIF folders under load, so that the main thread does not wait for the
 * disk. One message in is one batch; one message out has for each of its jobs the failure, or null. The first message
 * out, without jobs, reports that it is ready.
 */
const options = workerData as BatchOptions
const { run } = openBatchRunner(options)

parentPort?.on('message', (jobs: readonly DiskJob[]) => {
  void run(jobs).then((failures) => parentPort?.postMessage(failures))
})
parentPort?.postMessage([])
