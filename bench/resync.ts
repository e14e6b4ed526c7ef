import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { LOCKSTEP, type Instance } from '../demo/instance.ts'
import { endProcess } from '../scripts/end-process.ts'
import { runToolOk } from '../test/servers/run-tool.ts'
import type { BarePagingJob, BarePagingResult } from './bare-paging.ts'
import { REALM } from '../test/privacyidea/simulator/stock.ts'
import { openBenchDirectory, type BenchDirectory } from './bench-directory.ts'
import { createBenchInstance } from './bench-instance.ts'
import { INFORMATION, type Report, type Row } from './report.ts'
import type { SimulatorAt } from './resync-simulator.ts'
import { fillStore } from './resync-store.ts'
import type { Scale, Workshop } from './scale.ts'
import { figure, median } from './statistics.ts'
import { runWatched } from './watched-run.ts'

const BARE_PAGING = fileURLToPath(new URL('bare-paging.ts', import.meta.url))
const SIMULATOR = fileURLToPath(new URL('resync-simulator.ts', import.meta.url))
/** As src/config/keys/schema.ts and src/directory/ldap-directory.ts have them. */
const PAGE_SIZE = 500
const PAGE_ENTRIES = 500
const FILTER = '(|(description=privacyIDEA:*)(pwdAccountLockedTime=000001010000Z))'
const ATTRIBUTES = [
  'entryUUID',
  'description',
  'uid',
  'pwdAccountLockedTime',
  'pwdPolicySubentry',
  'pwdStartTime',
  'pwdEndTime',
  'pwdChangedTime',
]

const PAGING_TIMEOUT_MS = 300_000

const RATIO_MAX = 2
const PEAK_MIB_MAX = 200
/** Three times the tokens may take three times as long, and so much more. */
const LINEAR_SLACK = 1.25

interface Site {
  readonly count: number
  readonly directory: BenchDirectory
  readonly sourceUrl: string
  readonly instances: { readonly steady: Instance; readonly first: Instance }
}

interface Figures {
  readonly bareMs: number[]
  readonly bareProcessorMs: number[]
  readonly processorMs: number[]
  readonly steadyMs: number[]
  readonly firstMs: number[]
  peakMiB: number
  firstPeakMiB: number
}

/** The full comparison of tokens and accounts, beside merely paging both, at two sizes. */
export async function measureResync(scale: Scale, workshop: Workshop): Promise<Report> {
  const { rounds, sizes } = scale.resync
  const rows: Row[] = []
  let before: { count: number; steadyMs: number; firstMs: number } | null = null
  for (const count of sizes) {
    await using opened = new AsyncDisposableStack()
    const site = await openSite(opened, workshop, count)
    const figures: Figures = {
      bareMs: [],
      bareProcessorMs: [],
      processorMs: [],
      steadyMs: [],
      firstMs: [],
      peakMiB: 0,
      firstPeakMiB: 0,
    }
    for (let round = 1; round <= rounds; round++) await runRound(site, figures, round, workshop)
    rows.push(...rowsOf(count, figures))
    const now = { count, steadyMs: median(figures.steadyMs), firstMs: median(figures.firstMs) }
    if (before !== null)
      rows.push(growthRow('nothing differs', before, now, 'steadyMs'), growthRow('all is new', before, now, 'firstMs'))
    before = now
  }
  return { rows, notes: [NOTE] }
}

const NOTE =
  'Resync: `lockstep resync --dry-run --json` from its start to its end, against a simulated privacyIDEA and slapd, each in ' +
  'its own process; barely paging both asks for the same pages one after the other, parses them and throws them away. One ' +
  'token an account. "Nothing differs" is the steady state; "all is new" has an empty store, and serials that stand in the ' +
  'directory. Memory is the most that the process held (VmHWM).'

async function openSite(opened: AsyncDisposableStack, workshop: Workshop, count: number): Promise<Site> {
  workshop.say(`resync: making ${figure(count)} accounts and tokens`)
  const directory = opened.use(await openBenchDirectory(count))
  const sourceUrl = await openSimulator(opened, count)
  const config = async (dir: string): Promise<string> => {
    const passwordFile = join(dir, 'pi-password')
    await writeFile(passwordFile, 'secret', { mode: 0o600 })
    return `privacyidea: { url: ${JSON.stringify(sourceUrl)}, user: admin, passwordFile: ${JSON.stringify(passwordFile)} }\n`
  }
  const instance = async (name: string): Promise<Instance> => {
    const extra = await config(await workshop.folder(`${name}-secret`))
    return opened.use(await createBenchInstance(workshop, name, directory.slapd, extra, REALM))
  }
  const instances = { steady: await instance('resync-steady'), first: await instance('resync-first') }
  await fillStore(instances.steady.storeFile, count, directory.slapd.peopleDn)
  return { count, directory, sourceUrl, instances }
}

async function openSimulator(opened: AsyncDisposableStack, count: number): Promise<string> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', SIMULATOR, String(count)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  opened.defer(() => endProcess(child, 'SIGTERM'))
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return (JSON.parse(line) as SimulatorAt).url
}

async function runRound(site: Site, figures: Figures, round: number, workshop: Workshop): Promise<void> {
  const { steady, first } = site.instances
  const bare = await barePaging(site)
  figures.bareMs.push(bare.sourceMs + bare.directoryMs)
  figures.bareProcessorMs.push(bare.processorMs)
  const run = await resyncOf(steady, site.count, 0)
  figures.steadyMs.push(run.elapsedMs)
  figures.processorMs.push(run.processorMs)
  figures.peakMiB = Math.max(figures.peakMiB, run.peakMiB)
  const fresh = await resyncOf(first, site.count, site.count)
  figures.firstMs.push(fresh.elapsedMs)
  figures.firstPeakMiB = Math.max(figures.firstPeakMiB, fresh.peakMiB)
  const paged = `${figure(bare.sourceMs)} + ${figure(bare.directoryMs)} ms`
  workshop.say(
    `resync ${figure(site.count)}, round ${round}: paging ${paged}; in step ${figure(run.elapsedMs)} ms, ${figure(run.peakMiB)} MiB; ` +
      `all new ${figure(fresh.elapsedMs)} ms, ${figure(fresh.peakMiB)} MiB`,
  )
}

async function barePaging(site: Site): Promise<BarePagingResult> {
  const { url, serviceDn: bindDn, servicePassword, peopleDn: base } = site.directory.slapd
  const job: BarePagingJob = {
    sourceUrl: site.sourceUrl,
    pageSize: PAGE_SIZE,
    url,
    bindDn,
    base,
    filter: FILTER,
    attributes: ATTRIBUTES,
    pageEntries: PAGE_ENTRIES,
  }
  const args = ['--disable-warning=ExperimentalWarning', BARE_PAGING, JSON.stringify(job)]
  const { stdout } = await runToolOk(process.execPath, args, {
    env: { LDAP_PASSWORD: servicePassword },
    timeoutMs: PAGING_TIMEOUT_MS,
  })
  const result = JSON.parse(stdout) as BarePagingResult
  if (result.tokens !== site.count || result.accounts !== site.count) throw new Error(`paging saw ${stdout}`)
  return result
}

/** Fails where it did not compare everything, or found another number of differences. */
async function resyncOf(instance: Instance, count: number, differences: number): ReturnType<typeof runWatched> {
  const args = ['resync', '--dry-run', '--json', '--config', instance.configFile]
  const run = await runWatched(LOCKSTEP, args, {})
  const { data } = JSON.parse(run.stdout) as { data: { tokens: number; accounts: number; differences: number } }
  const { tokens, accounts, differences: found } = data
  if (tokens !== count || accounts !== count || found !== differences) {
    throw new Error(`resync compared ${tokens} tokens and ${accounts} accounts and found ${found} differences`)
  }
  return run
}

function rowsOf(count: number, figures: Figures): Row[] {
  const bareMs = median(figures.bareMs)
  const timeRow = (what: string, ms: number): Row => ({
    name: `resync of ${figure(count)}, ${what}`,
    measured: `${figure(ms)} ms`,
    baseline: `${figure(bareMs)} ms (paging both)`,
    ratio: `${figure(ms / bareMs)} x`,
    bar: `<= ${RATIO_MAX} x`,
    pass: ms <= RATIO_MAX * bareMs,
  })
  const memoryRow = (what: string, mib: number): Row => ({
    ...INFORMATION,
    name: `resync of ${figure(count)}, ${what}, memory`,
    measured: `${figure(mib)} MiB`,
    bar: `<= ${PEAK_MIB_MAX} MiB`,
    pass: mib <= PEAK_MIB_MAX,
  })
  return [
    timeRow('nothing differs', median(figures.steadyMs)),
    memoryRow('nothing differs', figures.peakMiB),
    {
      ...INFORMATION,
      name: `resync of ${figure(count)}, nothing differs, processor`,
      measured: `${figure(median(figures.processorMs))} ms`,
      baseline: `${figure(median(figures.bareProcessorMs))} ms (paging both)`,
      ratio: `${figure(median(figures.processorMs) / median(figures.bareProcessorMs))} x`,
    },
    timeRow('all is new', median(figures.firstMs)),
    memoryRow('all is new', figures.firstPeakMiB),
  ]
}

type Sized = { readonly count: number; readonly steadyMs: number; readonly firstMs: number }

function growthRow(what: string, before: Sized, now: Sized, which: 'steadyMs' | 'firstMs'): Row {
  const [few, many] = [before[which] / before.count, now[which] / now.count]
  return {
    name: `resync, a token of ${figure(now.count)}, ${what}`,
    measured: `${figure(many * 1000)} us`,
    baseline: `${figure(few * 1000)} us (of ${figure(before.count)})`,
    ratio: `${figure(many / few)} x`,
    bar: `<= ${LINEAR_SLACK} x`,
    pass: many <= LINEAR_SLACK * few,
  }
}
