// A steady stream of different persons, each asked about twice: in plain JSON, and in one of two other body
// encodings. It judges answers, not speed.
//
//     scripts/load [--flags 10] [--seconds 20] [--rate 500]
//
// Both answers must be complete, right for the flag that is on for everyone, and equal to each other.

import { check } from 'k6'
import encoding from 'k6/encoding'
import exec from 'k6/execution'
import http from 'k6/http'

const project = JSON.parse(open(`./workloads/flags-${__ENV.FLAGS}.json`))
const keys = project.flags.map((flag) => flag.key)
const onForEveryone = project.flags.find(
  ({ filters }) =>
    !filters.multivariate && filters.groups[0].properties.length === 0 && filters.groups[0].rollout_percentage === 100
).key
const url = `${__ENV.URL}/flags/?v=2`

export const options = {
  scenarios: {
    persons: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE),
      timeUnit: '1s',
      duration: `${__ENV.SECONDS}s`,
      preAllocatedVUs: 50,
      maxVUs: 200,
    },
  },
  thresholds: { checks: ['rate==1'], http_req_failed: ['rate==0'], iterations: ['count>0'] },
}

const plans = ['free', 'pro', 'enterprise']
const countries = ['US', 'DE', 'FR', 'BR', 'JP']

// Every iteration is another person.
function person(number) {
  return {
    token: project.team.api_token,
    distinct_id: `smoke-${number}-${(number * 2654435761) % 4294967296}`,
    groups: {},
    person_properties: {
      plan: plans[number % plans.length],
      country: countries[number % countries.length],
      email: `${'abcdefghijklmnopqrstuvwxyz'[number % 26]}${number}@${number % 2 ? 'example.com' : 'mail.test'}`,
      app_version: `${1 + (number % 3)}.${number % 10}.0`,
      seats: number % 60,
      signed_up: `20${21 + (number % 5)}-06-15`,
    },
  }
}

// What posthog-node, a mobile SDK with gzip, and posthog-js send.
const encodings = {
  json: (json) => http.post(url, json, { headers: { 'Content-Type': 'application/json' } }),
  gzip: (json) => http.post(url, json, { headers: { 'Content-Type': 'application/json' }, compression: 'gzip' }),
  form: (json) =>
    http.post(`${url}&compression=base64`, `data=${encodeURIComponent(encoding.b64encode(json))}`, {
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    }),
}

function values(response) {
  if (response.status !== 200) {
    return {}
  }
  const { flags, errorsWhileComputingFlags } = response.json()
  return { errors: errorsWhileComputingFlags, flags: keys.map((key) => flags[key]?.variant ?? flags[key]?.enabled) }
}

export default function () {
  const number = exec.scenario.iterationInTest
  const json = JSON.stringify(person(number))
  const responses = [encodings.json(json), number % 2 ? encodings.gzip(json) : encodings.form(json)]
  const answers = responses.map(values)
  check(responses, { 'status is 200': (all) => all.every(({ status }) => status === 200) })
  check(answers, {
    'every flag is present': (all) => all.every(({ flags }) => flags?.every((value) => value !== undefined)),
    'nothing failed': (all) => all.every(({ errors }) => errors === false),
    'the flag for everyone is on': (all) => all.every(({ flags }) => flags?.[keys.indexOf(onForEveryone)] === true),
    'both encodings agree': (all) => all.every(({ flags }) => JSON.stringify(flags) === JSON.stringify(all[0].flags)),
  })
}
