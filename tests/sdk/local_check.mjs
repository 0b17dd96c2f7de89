// Evaluates persons in the real Node SDK from the definitions of a server.
//
//     node local_check.mjs URL TOKEN KEY PERSONS OUT MODULES [CONTEXT]
//
// PERSONS is a JSON list of calls. Answers go to OUT-1.json; then a line is awaited on standard input, new definitions are awaited
// from the SDK's own poller, and answers go to OUT-2.json. The caller compares. With CONTEXT the client evaluates for that evaluation
// context alone. MODULES is the folder that posthog-node was installed in.

import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const POLL_MS = 500
const WAIT_MS = 15_000
// How many persons are also asked about with leave to ask the server.
const FALLBACKS = 20

const [url, token, key, personsPath, out, modules, context] = process.argv.slice(2)
const require = createRequire(join(modules, 'package.json'))
const { PostHog } = require('posthog-node')
const version = JSON.parse(readFileSync(join(modules, 'node_modules/posthog-node/package.json'))).version
const persons = JSON.parse(readFileSync(personsPath))

// The SDK says at length which flags it leaves to the server; the caller checks that.
console.warn = () => {}

const client = new PostHog(token, {
  host: url,
  personalApiKey: key,
  featureFlagsPollingInterval: POLL_MS,
  ...(context ? { evaluationContexts: [context] } : {}),
})
client.on('error', () => {})
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

function call(person) {
  // The SDK may write into what it is given. It takes the device from the properties.
  const { groups, person_properties, group_properties } = structuredClone(person)
  const personProperties = { ...person_properties, $device_id: person.device_id }
  return { groups, personProperties, groupProperties: group_properties }
}

async function answer(person, onlyEvaluateLocally) {
  const both = await client.getAllFlagsAndPayloads(person.distinct_id, { ...call(person), onlyEvaluateLocally })
  return { values: both.featureFlags, payloads: both.featureFlagPayloads }
}

// The same through the snapshot that programs branch on.
async function oneByOne(person) {
  const snapshot = await client.evaluateFlags(person.distinct_id, { ...call(person), onlyEvaluateLocally: true })
  const keys = [...snapshot.keys]
  return {
    values: Object.fromEntries(keys.map((key) => [key, snapshot.getFlag(key)])),
    payloads: Object.fromEntries(keys.map((key) => [key, snapshot.getFlagPayload(key) ?? undefined])),
    undecided: Object.keys(snapshot.unresolvedFlags ?? {}).sort(),
  }
}

async function write(path) {
  const started = performance.now()
  const local = []
  for (const person of persons) {
    local.push(await answer(person, true))
  }
  const seconds = (performance.now() - started) / 1000
  const single = []
  const remote = []
  for (const person of persons.slice(0, FALLBACKS)) {
    single.push(await oneByOne(person))
    remote.push(await answer(person, false))
  }
  writeFileSync(path, JSON.stringify({ local, single, remote, seconds }))
}

// Resolves when the marker flag says that definitions of this generation are in use.
async function awaitGeneration(wanted) {
  const current = async () => {
    const flags = await client.getAllFlags(persons[0].distinct_id, { ...call(persons[0]), onlyEvaluateLocally: true })
    return flags.generation === `is-${wanted}`
  }
  const limit = Date.now() + WAIT_MS
  while (!(await current())) {
    if (Date.now() > limit) {
      console.log(`generation ${wanted} did not arrive within ${WAIT_MS} ms`)
      process.exit(1)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

if (!(await client.waitForLocalEvaluationReady(WAIT_MS))) {
  console.log('no definitions were loaded')
  process.exit(1)
}
for (const generation of [1, 2]) {
  await write(`${out}-${generation}.json`)
  console.log(`posthog-node ${version} evaluated`)
  if (generation === 1) {
    await lines.next()
    await awaitGeneration(2)
  }
}
await client.shutdown(2000)
process.exit(0)
