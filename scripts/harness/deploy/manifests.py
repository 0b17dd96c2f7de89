"""Kubernetes manifests: against the schemas of Kubernetes, against each other, and against what the program reads."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

from . import DEPLOY

BASE, CANARY = DEPLOY / "kubernetes" / "base", DEPLOY / "kubernetes" / "canary"
SCHEMAS = Path(__file__).parent / "schemas.yaml"
# The oldest one that the manifests are meant for, and the newest whose schemas we have.
KUBERNETES = ("1.29.0", "1.37.0")
CORE = {
    "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Secret", "Service", "ServiceAccount",
}


def load(folder):
    """Every document of a folder's resources."""
    documents = []
    for file in sorted(folder.glob("*.yaml")):
        if file.name not in ("kustomization.yaml", "weights.yaml"):
            documents += [document for document in yaml.safe_load_all(file.read_text()) if document]
    return documents


def by_kind(documents, kind):
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


def with_canary():
    """The base with the canary's patches, as kustomize would make it; only the operations that we use."""
    documents = json.loads(json.dumps(load(BASE) + load(CANARY)))
    for patch in yaml.safe_load((CANARY / "kustomization.yaml").read_text())["patches"]:
        target = by_kind(documents, patch["target"]["kind"])[patch["target"]["name"]]
        text = patch["patch"] if "patch" in patch else (CANARY / patch["path"]).read_text()
        for operation in yaml.safe_load(text):
            *steps, last = operation["path"].strip("/").split("/")
            place = target
            for step in steps:
                place = place[int(step)] if isinstance(place, list) else place[step]
            last = int(last) if isinstance(place, list) else last
            if operation["op"] == "replace":
                place[last]  # A KeyError or IndexError when there is nothing to replace.
            place[last] = operation["value"]
    return documents


def schema_problems(documents):
    ours = yaml.safe_load(SCHEMAS.read_text())
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        try:
            if document["kind"] in CORE:
                for version in KUBERNETES:
                    kubernetes_validate.validate(document, version, strict=True)
            elif document["kind"] in ours:
                jsonschema.validate(document, ours[document["kind"]])
            else:
                yield f"{name}: no schema"
        except (kubernetes_validate.ValidationError, jsonschema.ValidationError) as error:
            yield f"{name}: {'.'.join(map(str, error.path))}: {error.message}"


def kustomization_problems():
    schema = yaml.safe_load(SCHEMAS.read_text())["Kustomization"]
    for folder in (BASE, CANARY):
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        jsonschema.validate(kustomization, schema)
        listed = set(kustomization["resources"])
        there = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml", "secret.example.yaml", "weights.yaml"}
        for name in sorted((listed | there) - {"../base"}):
            if name not in listed or name not in there:
                yield f"{folder.name}/kustomization.yaml and the folder disagree about {name}"


def consistency_problems(documents):
    """What the parts say of each other."""
    app = by_kind(documents, "Deployment")["posthog-feature-flags"]
    pod = app["spec"]["template"]
    labels, container = pod["metadata"]["labels"], pod["spec"]["containers"][0]
    service = by_kind(documents, "Service")["posthog-feature-flags"]
    budget = by_kind(documents, "PodDisruptionBudget")["posthog-feature-flags"]
    selectors = [app["spec"]["selector"]["matchLabels"], service["spec"]["selector"], budget["spec"]["selector"]["matchLabels"]]
    selectors += [spread["labelSelector"]["matchLabels"] for spread in pod["spec"]["topologySpreadConstraints"]]
    if any(selector.items() - labels.items() for selector in selectors):
        yield "a selector does not find the pods"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for port in service["spec"]["ports"]:
        if ports.get(port["targetPort"]) is None:
            yield f"the Service's targetPort {port['targetPort']} is no port of the container"
    settings = by_kind(documents, "ConfigMap")["posthog-feature-flags"]["data"]
    if int(settings["ADDRESS"].rsplit(":", 1)[1]) not in ports.values():
        yield f"ADDRESS {settings['ADDRESS']} is no port of the container"
    if pod["metadata"]["annotations"]["prometheus.io/port"] != str(ports["http"]) or settings["ENABLE_METRICS"] != "true":
        yield "metrics are scraped where there are none"
    scaled = by_kind(documents, "HorizontalPodAutoscaler")["posthog-feature-flags"]["spec"]["scaleTargetRef"]
    if scaled["name"] not in by_kind(documents, scaled["kind"]):
        yield f"the autoscaler's target {scaled} is not there"
    if "replicas" in app["spec"] and scaled["kind"] == "Deployment":
        yield "the Deployment sets the number of pods, and so does the autoscaler"
    if "cpu" not in container["resources"]["requests"]:
        yield "the autoscaler needs a request of CPU"
    allowed = pod["spec"]["securityContext"], container["securityContext"]
    if not (allowed[0]["runAsNonRoot"] and allowed[0]["runAsUser"] > 0 and allowed[1]["readOnlyRootFilesystem"]):
        yield "the container may be root, or write its file system"
    if allowed[1]["allowPrivilegeEscalation"] or allowed[1]["capabilities"]["drop"] != ["ALL"]:
        yield "the container may gain privileges"


def environment(documents):
    """Settings of the pod as the program would see them, its secrets in a folder; and what is wrong with them."""
    pod = by_kind(documents, "Deployment")["posthog-feature-flags"]["spec"]["template"]["spec"]
    container, wrong = pod["containers"][0], []
    settings = dict(by_kind(documents, "ConfigMap")["posthog-feature-flags"]["data"])
    example = by_kind(documents, "Secret")["posthog-feature-flags"]["stringData"]
    mount = container["volumeMounts"][0]
    volume = next(volume for volume in pod["volumes"] if volume["name"] == mount["name"])
    if volume["secret"]["secretName"] != "posthog-feature-flags":
        wrong.append("the mounted Secret is not that of the example")
    named = set()
    for variable in container["env"]:
        name = variable["name"]
        if "valueFrom" in variable:
            source = variable["valueFrom"]["resourceFieldRef"]["resource"]
            kind, resource = source.split(".")
            settings[name] = container["resources"][kind][resource]
        elif name.endswith("_FILE"):
            folder, _, key = variable["value"].rpartition("/")
            named.add(key)
            if folder != mount["mountPath"] or key not in example:
                wrong.append(f"{name}={variable['value']} is no key of the mounted Secret")
            settings[name] = key
        else:
            settings[name] = variable["value"]
    wrong += [f"nothing reads key {key} of the Secret" for key in sorted(set(example) - named)]
    return settings, example, wrong


def program_problems(documents, binary):
    """What the program itself says of these settings, and whether the times fit together."""
    settings, secrets, wrong = environment(documents)
    yield from wrong
    with tempfile.TemporaryDirectory() as folder:
        for key, value in secrets.items():
            Path(folder, key).write_text(value)
        run = subprocess.run(
            [binary, "config", "--json"], env=settings, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    said = json.loads(run.stdout)
    yield from said["errors"]
    yield from said["warnings"]
    known = {setting["name"] for setting in said["settings"]}
    known |= {f"{setting['name']}_FILE" for setting in said["settings"] if setting["secret"]}
    yield from (f"{name} is no setting" for name in sorted(set(settings) - known))
    value = {setting["name"]: setting["value"] for setting in said["settings"]}
    pod = by_kind(documents, "Deployment")["posthog-feature-flags"]["spec"]["template"]["spec"]
    end = sum(
        int(value[name])
        for name in ("SHUTDOWN_DELAY_MS", "DRAIN_TIMEOUT_MS", "FLAGS_BILLING_SHUTDOWN_FLUSH_TIMEOUT_MS")
    ) + 1000 * int(value["OTEL_EXPORT_TIMEOUT_SECS"])
    if pod["terminationGracePeriodSeconds"] * 1000 < end + 2000:
        yield f"terminationGracePeriodSeconds is below {end + 2000} ms"
    probe = pod["containers"][0]["readinessProbe"]
    if probe["periodSeconds"] * probe["failureThreshold"] * 1000 >= int(value["SHUTDOWN_DELAY_MS"]):
        yield "SHUTDOWN_DELAY_MS is over before readiness is seen to fail"
    if int(value["REQUEST_TIMEOUT_MS"]) >= 5000:
        yield "REQUEST_TIMEOUT_MS must be below the five seconds of the proxy"
    if value["READINESS_CHECKS_DATABASE"] != "false":
        yield "READINESS_CHECKS_DATABASE must be false behind a balancer"


def probe_problems(documents, binary):
    """Whether a running server has the probes that are asked for."""
    container = by_kind(documents, "Deployment")["posthog-feature-flags"]["spec"]["template"]["spec"]["containers"][0]
    with subprocess.Popen(
        [binary, "dev", "--address", "127.0.0.1:0"], env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            url = re.fullmatch(r"feature-flags listening on (http://\S+)\n", server.stdout.readline())[1]
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                path = container[probe]["httpGet"]["path"]
                if container[probe]["httpGet"]["port"] != "http":
                    yield f"{probe} asks another port"
                # Liveness is bad until the first heartbeat.
                runs = (
                    subprocess.run([binary, "healthcheck", "--url", url, "--path", path], capture_output=True, text=True, check=False)
                    for _ in range(100)
                )
                last = None
                for last in runs:
                    if last.returncode == 0:
                        break
                if last.returncode != 0:
                    yield f"{probe}: {last.stderr.strip()}"
        finally:
            server.kill()
