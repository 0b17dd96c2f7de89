// Reads a JSON array of Argo documents from standard input and validates each against the published schema of its kind.
import { readFileSync } from "node:fs";
import { AnalysisTemplate } from "@kubernetes-models/argo-rollouts/argoproj.io/v1alpha1/AnalysisTemplate";
import { Rollout } from "@kubernetes-models/argo-rollouts/argoproj.io/v1alpha1/Rollout";

const kinds = { AnalysisTemplate, Rollout };
let failed = false;
for (const document of JSON.parse(readFileSync(0, "utf8"))) {
  const name = `${document.kind} ${document.metadata.name}`;
  try {
    new kinds[document.kind](document).validate();
    console.log(`${name}: valid`);
  } catch (error) {
    failed = true;
    console.log(`${name}: ${error.message}`);
  }
}
process.exitCode = failed ? 1 : 0;
