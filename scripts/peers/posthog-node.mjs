// A plain Node HTTP server over posthog-node in local evaluation: POST a body as for /flags, all flags are answered.
//
//     node posthog-node.mjs DEFINITIONS.json
//
// Definitions are read from the file through the SDK's own `fetch` option, so that nothing leaves the machine. Prints
// `listening on http://ADDRESS` once the SDK has them.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { PostHog } from "posthog-node";

const definitions = JSON.parse(readFileSync(process.argv[2], "utf8"));

const client = new PostHog("phc_peer", {
  host: "http://127.0.0.1:9",
  personalApiKey: "phx_peer",
  featureFlagsPollingInterval: 3_600_000,
  preloadFeatureFlags: true,
  fetch: async (url) => {
    if (!String(url).includes("definitions") && !String(url).includes("local_evaluation")) {
      throw new Error(`local evaluation must not ask ${url}`);
    }
    return { status: 200, headers: { get: () => null }, json: async () => definitions, text: async () => JSON.stringify(definitions) };
  },
});
client.on("error", (error) => console.error(error));
if (!(await client.waitForLocalEvaluationReady(10_000))) {
  console.error("the SDK has no definitions");
  process.exit(1);
}

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    try {
      const body = JSON.parse(Buffer.concat(parts));
      const answer = await client.getAllFlagsAndPayloads(body.distinct_id, {
        groups: body.groups,
        personProperties: body.person_properties,
        groupProperties: body.group_properties,
        onlyEvaluateLocally: true,
      });
      const text = Buffer.from(JSON.stringify(answer));
      response.writeHead(200, { "content-type": "application/json", "content-length": text.length });
      response.end(text);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
