// Asks a running server through the real Node SDK and compares with the fixture.
//
//     node check.mjs URL FIXTURE MODULES
//
// MODULES is the folder that posthog-node was installed in. The client has its default settings and no personal API
// key, so every call is a request to the server. Its events go to the same host, which does not take them.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isDeepStrictEqual } from 'node:util'
import { join } from 'node:path'

const [url, fixturePath, modules] = process.argv.slice(2)
const require = createRequire(join(modules, 'package.json'))
const { PostHog } = require('posthog-node')
const version = JSON.parse(readFileSync(join(modules, 'node_modules/posthog-node/package.json'))).version
const fixture = JSON.parse(readFileSync(fixturePath))

let checks = 0
const failures = []

// The SDK's maps hold undefined for flags without a payload; as JSON they are absent, as in the fixture.
function asJson(value) {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value))
}

function expect(what, expected, got) {
  checks += 1
  if (!isDeepStrictEqual(asJson(expected), asJson(got))) {
    failures.push(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`)
  }
}

async function checkRequest(client, request) {
  const { name, distinct_id: user, expected } = request
  const context = {
    groups: request.groups,
    personProperties: request.person_properties,
    groupProperties: request.group_properties,
  }
  const values = Object.fromEntries(Object.entries(expected).map(([key, { value }]) => [key, value]))
  const payloads = Object.fromEntries(
    Object.entries(expected).flatMap(([key, flag]) => ('payload' in flag ? [[key, flag.payload]] : []))
  )

  expect(`${name}: getAllFlags`, values, await client.getAllFlags(user, context))

  const both = await client.getAllFlagsAndPayloads(user, context)
  expect(`${name}: all values`, values, both.featureFlags)
  expect(`${name}: all payloads`, payloads, both.featureFlagPayloads)

  const snapshot = await client.evaluateFlags(user, context)
  expect(`${name}: evaluateFlags keys`, Object.keys(values).sort(), [...snapshot.keys].sort())

  for (const [key, value] of Object.entries(values)) {
    const label = `${name}: ${key}`
    const payload = payloads[key]
    expect(`${label} getFeatureFlag`, value, await client.getFeatureFlag(key, user, context))
    expect(`${label} isFeatureEnabled`, Boolean(value), await client.isFeatureEnabled(key, user, context))
    // The payload call says null or undefined for "none", depending on the way there.
    expect(`${label} payload`, payload, (await client.getFeatureFlagPayload(key, user, undefined, context)) ?? undefined)
    const result = await client.getFeatureFlagResult(key, user, context)
    expect(`${label} result`, [value, payload], [result?.variant ?? result?.enabled, result?.payload ?? undefined])
    expect(`${label} snapshot`, value, snapshot.getFlag(key))
    expect(`${label} snapshot payload`, payload, snapshot.getFlagPayload(key) ?? undefined)
    expect(`${label} restricted`, value, (await client.getAllFlags(user, { ...context, flagKeys: [key] }))[key])
  }

  for (const key of request.omitted) {
    expect(`${name}: ${key} is not enabled`, false, Boolean(await client.isFeatureEnabled(key, user, context)))
  }
}

const client = new PostHog(fixture.team.api_token, { host: url })
// Refused events are reported here instead of on the console.
client.on('error', () => {})
for (const request of fixture.requests) {
  await checkRequest(client, request)
}
await client.shutdown(2000)

for (const failure of failures) {
  console.log(`FAIL posthog-node ${failure}`)
}
console.log(`posthog-node ${version}: ${checks - failures.length}/${checks}`)
process.exit(failures.length > 0 || checks === 0 ? 1 : 0)
