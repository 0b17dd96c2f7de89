// Requests of a mix of teams in one body encoding, at a fixed arrival rate. It judges times and failures; smoke.js judges answers.
//
//     scripts/load --scenario NAME
//
// PLAN is a JSON file: {url, judged, encoding, teams: [{token, flags, weight}], rate | users | once, seconds}. `rate` is a constant
// arrival rate, `users` sends as fast as answers come, `once` asks for every team once at that rate.

import { check } from 'k6'
import encoding from 'k6/encoding'
import exec from 'k6/execution'
import http from 'k6/http'
import { Counter } from 'k6/metrics'

const plan = JSON.parse(open(__ENV.PLAN))
const teams = plan.teams
const arrivals = { executor: 'constant-arrival-rate', timeUnit: '1s', preAllocatedVUs: 64, maxVUs: 256 }

export const options = {
  scenarios: {
    requests: plan.users
      ? { executor: 'constant-vus', vus: plan.users, duration: `${plan.seconds}s` }
      : { ...arrivals, rate: plan.rate, duration: `${plan.seconds}s` },
  },
  discardResponseBodies: !plan.judged,
}

// A hundred slots, so that a share is a number of slots; neighbours in time are of different teams.
const slots = []
for (const [index, { weight }] of teams.entries()) {
  for (let count = 0; count < weight; count++) slots.push(index)
}

const plans = ['free', 'pro', 'enterprise']
const countries = ['US', 'DE', 'FR', 'BR', 'JP']

function body(token, number) {
  return JSON.stringify({
    token,
    distinct_id: `load-${number}-${(number * 2654435761) % 4294967296}`,
    groups: {},
    person_properties: {
      plan: plans[number % plans.length],
      country: countries[number % countries.length],
      email: `p${number}@${number % 2 ? 'example.com' : 'mail.test'}`,
      app_version: `${1 + (number % 3)}.${number % 10}.0`,
      seats: number % 60,
      signed_up: `20${21 + (number % 5)}-06-15`,
    },
  })
}

const url = `${plan.url}/flags/?v=2`
const origin = 'https://shop.example'
const send = {
  json: (text) => http.post(url, text, { headers: { Origin: origin, 'Content-Type': 'application/json' } }),
  gzip: (text) =>
    http.post(url, text, { headers: { Origin: origin, 'Content-Type': 'application/json' }, compression: 'gzip' }),
  base64: (text) =>
    http.post(`${url}&compression=base64`, `data=${encodeURIComponent(encoding.b64encode(text))}`, {
      headers: { Origin: origin, 'Content-Type': 'application/x-www-form-urlencoded' },
    }),
}[plan.encoding]

// What went wrong, for the report; 0 is a connection that failed.
const statuses = Object.fromEntries([0, 400, 429, 500, 502, 503, 504].map((code) => [code, new Counter(`status_${code}`)]))

const complete = {
  'status is 200': ({ status }) => status === 200,
  'nothing failed': ({ body }) => !!body && body.includes('"errorsWhileComputingFlags":false'),
}

export default function () {
  const number = exec.scenario.iterationInTest
  // 37 is coprime to the hundred slots.
  const team = plan.once ? teams[number % teams.length] : teams[slots[(number * 37) % slots.length]]
  const response = send(body(team.token, number))
  statuses[response.status]?.add(1)
  if (!plan.judged) {
    check(response, { 'status is 200': ({ status }) => status === 200 })
    return
  }
  check(response, complete)
  // Parsing every answer would measure the generator.
  if (number % 50 === 0) {
    check(response, { 'every flag is there': (r) => r.status === 200 && Object.keys(r.json().flags).length === team.flags })
  }
}
