/**
 * The import rules (docs/architecture.md): what may know what. `npm run imports` checks them.
 *
 * core → nothing · ports → core · reconcile → core, ports · adapters → core, ports and themselves ·
 * config → core, ports · contract → core · app → all of these · daemon, operations → app and all of these ·
 * cli → operations, daemon, app, config, contract, core, ports
 */
const ADAPTERS = ['directory', 'http', 'intake', 'ldif', 'notify', 'privacyidea', 'store']

/** Everything in src/ but these folders. */
const allBut = (...folders) => `^src/(?!(?:${folders.join('|')})/)`

const adapterRules = ADAPTERS.map((adapter) => ({
  name: `${adapter}-stands-alone`,
  comment: 'An adapter knows the core, the ports and itself; what joins it to others is src/app/.',
  severity: 'error',
  from: { path: `^src/${adapter}/` },
  to: { path: allBut('core', 'ports', adapter) },
}))

module.exports = {
  forbidden: [
    {
      name: 'core-is-pure',
      comment: 'The core is synchronous and total: no package, no node: module, nothing of the other folders.',
      severity: 'error',
      from: { path: '^src/core/' },
      to: { pathNot: '^src/core/' },
    },
    {
      name: 'ports-know-the-core',
      comment: 'Ports are interfaces over the core; they need no package and no node: module.',
      severity: 'error',
      from: { path: '^src/ports/' },
      to: { pathNot: '^src/(?:core|ports)/' },
    },
    {
      name: 'reconcile-knows-ports',
      comment: 'What drives accounts knows no adapter, no package and no node: module.',
      severity: 'error',
      from: { path: '^src/reconcile/' },
      to: { pathNot: '^src/(?:core|ports|reconcile)/' },
    },
    ...adapterRules,
    {
      name: 'config-knows-the-core',
      severity: 'error',
      from: { path: '^src/config/' },
      to: { path: allBut('core', 'ports', 'config') },
    },
    {
      name: 'contract-knows-the-core',
      comment: 'What is printed for programs: its schemas need zod, and nothing of what makes it.',
      severity: 'error',
      from: { path: '^src/contract/' },
      to: { path: allBut('contract', 'core') },
    },
    {
      name: 'app-wires-the-parts',
      comment: 'What opens and wires the parts knows nothing of who asked for it.',
      severity: 'error',
      from: { path: '^src/app/' },
      to: { path: '^src/(?:daemon|operations|cli)/' },
    },
    {
      name: 'daemon-is-the-running-process',
      severity: 'error',
      from: { path: '^src/daemon/' },
      to: { path: '^src/(?:operations|cli)/' },
    },
    {
      name: 'operations-are-asked-for',
      comment: 'What a person asks for runs beside a daemon or without one.',
      severity: 'error',
      from: { path: '^src/operations/' },
      to: { path: '^src/(?:daemon|cli)/' },
    },
    {
      name: 'cli-asks-operations',
      comment: 'Commands use what these offer; they may name the types of others, which cost nothing at run time.',
      severity: 'error',
      from: { path: '^src/cli/' },
      to: {
        path: allBut('cli', 'operations', 'daemon', 'app', 'contract', 'config', 'core', 'ports'),
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'source-knows-no-tests',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(?:test|bench|demo|scripts)/' },
    },
    {
      name: 'no-cycles',
      comment: 'Of files; imports of types alone count as well.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-dev-packages-in-the-program',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(?:dist|coverage)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['node', 'import', 'types'] },
  },
}
