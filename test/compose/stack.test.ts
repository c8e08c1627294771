// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of stack files are what is tested here
import fc from 'fast-check'
import t from 'tap'
import { type Note, parseStack } from '../../lib/compose/index.js'

const read = (text: string, env: Readonly<Record<string, string>> = {}) =>
  parseStack(text, { stack: 'shop', dir: '/srv/shop', env })
const problemsOf = (text: string): readonly Note[] => read(text).findings.problems

const whole = `
version: "3.9"
name: shop
x-common: &common
  ZONE: eu
  COST: $5
services:
  web:
    command: node server.mjs --title "two words"
    environment:
      <<: *common
      PORT: 8080
      RATIO: 1.10
      DEBUG: true
      NAME: \${NAME:-nobody}
      FROM_SHELL:
      NOT_SET:
    working_dir: app
    stop_signal: SIGINT
    stop_grace_period: 1m30s
    x-note: anything
    deploy:
      mode: replicated
      replicas: \${REPLICAS}
      labels: [tier=front, bare]
      restart_policy:
        condition: on-failure
        delay: 500ms
        max_attempts: 3
        window: 2m
      resources:
        limits: {cpus: '1.5', memory: 64M}
        reservations: {cpus: 0.25, memory: 32M}
      placement:
        constraints: [node.role == worker, node.labels.disk != hdd]
        preferences:
          - spread: node.labels.zone
          - spread: node.labels.rack
        max_replicas_per_node: 2
  job:
    command: [sh, -c, "echo $$HOME && sleep 1"]
    environment: [A=1, B=x=y, FROM_SHELL]
    x-skein-driver: process
    x-skein-self-fence-after: 20s
`

t.test('every honoured key arrives in the spec, exactly', (t) => {
  const { services, findings } = read(whole.replace('  COST: $5\n', ''), { REPLICAS: '3', FROM_SHELL: 'here' })
  t.strictSame(findings.problems, [])
  t.strictSame(services, [
    {
      name: 'shop_web',
      labels: { tier: 'front', bare: '', 'com.docker.stack.namespace': 'shop' },
      task: {
        command: ['node', 'server.mjs', '--title', 'two words'],
        env: { PORT: '8080', RATIO: '1.10', DEBUG: 'true', NAME: 'nobody', FROM_SHELL: 'here', ZONE: 'eu' },
        workingDir: '/srv/shop/app',
        stopSignal: 'SIGINT',
        stopGraceMs: 90_000,
        resources: { reserve: { cpus: 0.25, memoryBytes: 33_554_432 }, limit: { cpus: 1.5, memoryBytes: 67_108_864 } },
      },
      mode: { replicas: 3 },
      placement: {
        constraints: ['node.role == worker', 'node.labels.disk != hdd'],
        spread: ['node.labels.zone', 'node.labels.rack'],
        maxPerNode: 2,
      },
      restart: { when: 'on-failure', delayMs: 500, attemptsMax: 3, windowMs: 120_000 },
    },
    {
      name: 'shop_job',
      labels: { 'com.docker.stack.namespace': 'shop' },
      task: {
        command: ['sh', '-c', 'echo $HOME && sleep 1'],
        env: { A: '1', B: 'x=y', FROM_SHELL: 'here' },
        driver: 'process',
        selfFenceAfterMs: 20_000,
      },
    },
  ])
  t.strictSame(findings.notHonoured, [])
  t.match(findings.warnings, [{ path: 'services.web.deploy.resources.limits', line: 31, why: /does not enforce/ }])
  t.end()
})

t.test('a top-level x- key is not interpolated, but an anchor in it is where it is used', (t) => {
  t.match(read(whole, { REPLICAS: '1' }).findings.problems, [
    { path: 'services.web.environment.COST', why: /"\$5" names no variable/ },
  ])
  t.end()
})

t.test('working_dir: absolute is kept, a dot is the directory of the file', (t) => {
  const dirOf = (dir: string) => read(`services: {a: {command: x, working_dir: ${dir}}}`).services[0]?.task.workingDir
  t.equal(dirOf('/opt'), '/opt')
  t.equal(dirOf('.'), '/srv/shop')
  t.equal(dirOf('../other'), '/srv/other')
  t.end()
})

t.test('stop_signal without SIG is the same signal', (t) => {
  t.equal(read('services: {a: {command: x, stop_signal: USR1}}').services[0]?.task.stopSignal, 'SIGUSR1')
  t.end()
})

t.test('keys of the specification that are not carried out are reported by path and line, and the rest goes on', (t) => {
  const { services, findings } = read(`services:
  web:
    image: nginx:alpine
    command: node server.mjs
    ports: ["8080:80"]
    restart: always
    healthcheck:
      test: whatever
    deploy:
      update_config: {parallelism: 2}
      resources:
        limits: {pids: 10}
        reservations:
          generic_resources: []
models: {}
volumes: {}
`)
  t.strictSame(findings.problems, [])
  t.equal(services.length, 1)
  t.strictSame(
    findings.notHonoured.map(({ path, line }) => [path, line]),
    [
      ['services.web.image', 3],
      ['services.web.ports', 5],
      ['services.web.restart', 6],
      ['services.web.healthcheck', 7],
      ['services.web.deploy.update_config', 10],
      ['services.web.deploy.resources.limits.pids', 12],
      ['services.web.deploy.resources.reservations.generic_resources', 14],
      ['models', 15],
      ['volumes', 16],
    ],
  )
  t.ok(findings.notHonoured.every(({ why }) => why.startsWith('not honoured by this version')))
  t.match(findings.notHonoured[2], { why: /use `deploy.restart_policy`/ })
  t.end()
})

const service = (body: string): string => `services:\n  web:\n    command: x\n${body.replace(/^/gm, '    ')}`

t.test('each mistake is refused with its line, its key path and what to do', (t) => {
  const cases: readonly (readonly [name: string, text: string, line: number, path: string, why: RegExp])[] = [
    ['empty file', '', 1, 'services', /the file is empty; it needs `services`/],
    ['only a comment', '# nothing', 1, 'services', /empty/],
    ['a list', '- a', 1, '', /expected a map, got a list/],
    ['no services', 'version: "3"', 1, 'services', /missing/],
    ['services is a list', 'services: [a]', 1, 'services', /expected a map of services, got a list/],
    ['services is empty', 'services: {}', 1, 'services', /expected a map of services/],
    ['service is nothing', 'services:\n  web:\n', 2, 'services.web', /expected a map, got nothing/],
    ['unknown top-level key', 'service: {}\nservices: {a: {command: x}}', 1, 'service', /did you mean `services`\?/],
    [
      'unknown service key',
      service('enviroment: {A: b}'),
      4,
      'services.web.enviroment',
      /unknown key; did you mean `environment`\?/,
    ],
    [
      'unknown key like no other',
      service('colour: red'),
      4,
      'services.web.colour',
      /unknown key; remove it, or begin it with `x-`/,
    ],
    ['unknown x-skein key', service('x-skein-drivr: process'), 4, 'services.web.x-skein-drivr', /did you mean `x-skein-driver`/],
    ['unknown deploy key', service('deploy:\n  replica: 2'), 5, 'services.web.deploy.replica', /did you mean `replicas`/],
    [
      'unknown restart key',
      service('deploy: {restart_policy: {delays: 1s}}'),
      4,
      'services.web.deploy.restart_policy.delays',
      /did you mean `delay`/,
    ],
    [
      'unknown resources key',
      service('deploy: {resources: {limit: {}}}'),
      4,
      'services.web.deploy.resources.limit',
      /did you mean `limits`/,
    ],
    [
      'unknown placement key',
      service('deploy: {placement: {constraint: []}}'),
      4,
      'services.web.deploy.placement.constraint',
      /`constraints`/,
    ],
    [
      'replicas is a word',
      service('deploy:\n  replicas: three'),
      5,
      'services.web.deploy.replicas',
      /expected a whole number from 0, got "three"/,
    ],
    ['replicas is negative', service('deploy: {replicas: -1}'), 4, 'services.web.deploy.replicas', /got -1/],
    ['replicas is a fraction', service('deploy: {replicas: 1.5}'), 4, 'services.web.deploy.replicas', /got 1\.5/],
    ['replicas is a list', service('deploy: {replicas: [1]}'), 4, 'services.web.deploy.replicas', /got a list/],
    [
      'too many replicas',
      service('deploy: {replicas: 999999999}'),
      4,
      'services.web.deploy.replicas',
      /expected a whole number from 0 to/,
    ],
    [
      'global mode',
      service('deploy: {mode: global}'),
      4,
      'services.web.deploy.mode',
      /mode global is not in this version; use replicated/,
    ],
    ['no such mode', service('deploy: {mode: replicatd}'), 4, 'services.web.deploy.mode', /did you mean `replicated`/],
    [
      'no such condition',
      service('deploy: {restart_policy: {condition: always}}'),
      4,
      'services.web.deploy.restart_policy.condition',
      /any, on-failure, none/,
    ],
    [
      'duration without a unit',
      service('stop_grace_period: 10'),
      4,
      'services.web.stop_grace_period',
      /duration with a unit.*got 10/,
    ],
    ['no such signal', service('stop_signal: SIGNOPE'), 4, 'services.web.stop_signal', /a signal name/],
    ['environment is a text', service('environment: A=b'), 4, 'services.web.environment', /a map or a list of KEY=VALUE/],
    [
      'environment value is a map',
      service('environment:\n  A: {b: c}'),
      5,
      'services.web.environment.A',
      /a text or a number, got a map/,
    ],
    ['environment entry without a name', service('environment:\n  - =b'), 5, 'services.web.environment[0]', /KEY=VALUE/],
    [
      'cpus is a word',
      service('deploy: {resources: {limits: {cpus: lots}}}'),
      4,
      'services.web.deploy.resources.limits.cpus',
      /number of CPUs/,
    ],
    [
      'memory without sense',
      service('deploy: {resources: {limits: {memory: 5X}}}'),
      4,
      'services.web.deploy.resources.limits.memory',
      /as 64M/,
    ],
    [
      'limit below reservation',
      service('deploy: {resources: {limits: {memory: 8M}, reservations: {memory: 16M}}}'),
      4,
      'services.web.deploy.resources.limits.memory',
      /below/,
    ],
    [
      'constraint without an operator',
      service('deploy: {placement: {constraints: [node.role]}}'),
      4,
      'services.web.deploy.placement.constraints[0]',
      /node\.labels\.zone == eu/,
    ],
    [
      'preference that is a text',
      service('deploy: {placement: {preferences: [zone]}}'),
      4,
      'services.web.deploy.placement.preferences[0]',
      /expected a map/,
    ],
    [
      'preference of no kind',
      service('deploy: {placement: {preferences: [{pack: a}]}}'),
      4,
      'services.web.deploy.placement.preferences[0].pack',
      /unknown key/,
    ],
    [
      'image alone',
      'services:\n  web:\n    image: nginx',
      2,
      'services.web.command',
      /`image` alone cannot run with the process driver; give `command`/,
    ],
    ['no command', 'services:\n  web:\n    working_dir: /', 2, 'services.web.command', /the process driver has nothing to run/],
    ['empty command', 'services: {web: {command: ""}}', 1, 'services.web.command', /a command line/],
    ['empty command list', 'services: {web: {command: []}}', 1, 'services.web.command', /a command line/],
    ['command is nothing', 'services: {web: {command: }}', 1, 'services.web.command', /got nothing/],
    ['command with a number', 'services: {web: {command: [node, 8080]}}', 1, 'services.web.command[1]', /write '8080' in quotes/],
    ['command with an open quote', `services: {web: {command: "echo 'a"}}`, 1, 'services.web.command', /never closed/],
    ['a name no service may have', 'services: {web.1: {command: x}}', 1, 'services.web.1', /letters, digits/],
    ['syntax error', 'services:\n  web: [', 2, '', /^YAML: /],
    ['tab as indentation', 'services:\n\tweb: {}', 2, '', /[Tt]abs/],
    ['two documents', 'services: {a: {command: x}}\n---\nb: 1', 2, '', /one YAML document/],
    ['unknown tag', service('working_dir: !reset null'), 4, '', /tag/],
    ['duplicate key', service('command: y'), 4, 'services.web.command', /appears twice, first on line 3/],
    ['duplicate service', 'services:\n  a: {command: x}\n  a: {command: y}', 3, 'services.a', /appears twice/],
    ['unknown alias', service('environment: *nope'), 4, 'services.web.environment', /\*nope refers to no anchor above it/],
    ['alias of itself', service('environment: &e {A: *e}'), 4, 'services.web.environment.A', /refers to no anchor/],
    ['merging a text', service('environment: {<<: x}'), 4, 'services.web.environment.<<', /merges maps only/],
    ['required variable', service('working_dir: ${DIR:?say where}'), 4, 'services.web.working_dir', /DIR is required.*say where/],
    ['a lone dollar', service('working_dir: /a$'), 4, 'services.web.working_dir', /write \$\$/],
    ['far too deep', '['.repeat(100_000), 1, '', /./],
  ]
  for (const [name, text, line, path, why] of cases) {
    const problems = problemsOf(text)
    t.match(problems[0], { line, path, why }, name)
  }
  t.end()
})

t.test('all mistakes of a file are named at once, also those only the model knows', (t) => {
  const problems = problemsOf(`services:
  a:
    comand: x
  b:
    command: x
    stop_signal: SIGNOPE
    deploy:
      placement:
        constraints: [nonsense]
      resources: {limits: {memory: 1K}}
colour: red
`)
  t.strictSame(problems.map(({ path }) => path).sort(), [
    'colour',
    'services.a.comand',
    'services.a.command',
    'services.b.deploy.placement.constraints[0]',
    'services.b.deploy.resources.limits.memory',
    'services.b.stop_signal',
  ])
  t.end()
})

t.test('a time after which a task stops itself has a unit, and is one that the model takes', (t) => {
  t.match(problemsOf('services: {a: {command: x, x-skein-self-fence-after: 20}}'), [
    { path: 'services.a.x-skein-self-fence-after', why: /a duration with a unit/ },
  ])
  t.match(problemsOf('services: {a: {command: x, x-skein-self-fence-after: 1s}}'), [
    { path: 'services.a.x-skein-self-fence-after', why: /from 5000 to 3600000/ },
  ])
  t.end()
})

t.test('another driver than ours may do without a command', (t) => {
  t.strictSame(problemsOf('services: {a: {x-skein-driver: mine}}'), [])
  t.match(problemsOf('services: {a: {x-skein-driver: inline}}'), [{ path: 'services.a.command', why: /NAME-OF-THE-FUNCTION/ }])
  t.end()
})

t.test('an empty deploy is none', (t) => {
  t.strictSame(problemsOf(service('deploy:')), [])
  t.end()
})

t.test('surprises are warned of: unset variables, shell operators, another name', (t) => {
  const { findings } = read('name: other\nservices:\n  a:\n    command: echo $NOPE && ls\n')
  t.strictSame(findings.problems, [])
  t.match(findings.warnings, [
    { path: 'services.a.command', line: 4, why: /NOPE is not set/ },
    { path: 'name', line: 1, why: /deployed as shop/ },
    { path: 'services.a.command', line: 4, why: /`&&` is passed as an argument/ },
  ])
  t.end()
})

t.test('an anchor used many times over is read in no time and reported once', (t) => {
  const levels = Array.from({ length: 30 }, (_, level) => `x-${level + 1}: &l${level + 1} [*l${level}, *l${level}]`)
  const text = `x-0: &l0 [a]\n${levels.join('\n')}\nservices: {a: {command: x, ports: *l30}}`
  t.match(read(text).findings, { problems: [], notHonoured: [{ path: 'services.a.ports' }] })
  t.end()
})

t.test('no text makes the reader throw', (t) => {
  const piece = fc.constantFrom(
    'services',
    ':',
    ' ',
    '\n',
    '  ',
    'web',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '&a',
    '*a',
    '<<',
    'command',
    '"',
    '$',
    '!!',
    '?',
    '|',
    'deploy',
    '1',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => Array.isArray(problemsOf(pieces.join('')))),
    { numRuns: 500 },
  )
  t.end()
})
