"""Where the HTTPProxies send a path, compared with the routing that PostHog's own service has."""

from .manifests import by_kind

OURS, LOCAL, WEB = "posthog-feature-flags:3001", "posthog-local-evaluation:8000", "posthog-web-django:8000"
EVERYTHING, FLAGS_ONLY = "posthog.example.com", "d.i.posthog.example.com"

# Host, path, service (None: no route), value of X-Original-Endpoint.
TABLE = [
    *((host, path, OURS, "decide") for host in (EVERYTHING, FLAGS_ONLY) for path in ("/decide", "/decide/", "/decide/x")),
    *(
        (host, path, OURS, None)
        for host in (EVERYTHING, FLAGS_ONLY)
        for path in ("/flags", "/flags/", "/flags/definitions", "/flags/definitions/")
    ),
    (EVERYTHING, "/api/feature_flag/local_evaluation", LOCAL, None),
    (EVERYTHING, "/api/feature_flag/local_evaluation/", LOCAL, None),
    *((EVERYTHING, path, WEB, None) for path in ("/", "/api/projects/1/feature_flags/", "/e/", "/decidex", "/flagsx", "/flags/x")),
    *((FLAGS_ONLY, path, None, None) for path in ("/", "/api/feature_flag/local_evaluation", "/api/x", "/flags/x", "/decidex")),
]


def routes(host, proxies):
    """The host's routes, those of what it includes first."""
    root = next(p for p in proxies.values() if p["spec"].get("virtualhost", {}).get("fqdn") == host)
    found = []
    for include in root["spec"].get("includes", []):
        found += proxies[include["name"]]["spec"]["routes"]
    return found + root["spec"].get("routes", [])


def match(path, candidates):
    """Envoy's order as Contour writes it: exact conditions, then the longest prefix."""
    for route in candidates:
        if any(condition.get("exact") == path for condition in route["conditions"]):
            return route
    prefixes = [
        (len(condition["prefix"]), route)
        for route in candidates
        for condition in route["conditions"]
        if path.startswith(condition.get("prefix", "\0"))
    ]
    return max(prefixes, key=lambda entry: entry[0])[1] if prefixes else None


def problems(documents):
    proxies = by_kind(documents, "HTTPProxy")
    for host, path, service, endpoint in TABLE:
        route = match(path, routes(host, proxies))
        services = {f"{to['name']}:{to['port']}" for to in route["services"]} if route else set()
        if services - {"posthog-feature-flags-canary:3001"} != ({service} if service else set()):
            yield f"{host}{path} goes to {services or 'nothing'}, not to {service}"
        headers = (route or {}).get("requestHeadersPolicy", {}).get("set", [])
        values = [header["value"] for header in headers if header["name"] == "X-Original-Endpoint"]
        if values != ([endpoint] if endpoint else []):
            yield f"{host}{path}: X-Original-Endpoint is {values}"
    for route in proxies["posthog-feature-flags"]["spec"]["routes"]:
        retries, place = route.get("retryPolicy", {}), route["conditions"]
        if route.get("timeoutPolicy", {}).get("response") != "5s":
            yield f"{place}: the proxy must give up after 5 s"
        if retries.get("count") != 2 or not {"reset", "cancelled"} <= set(retries.get("retryOn", [])):
            yield f"{place}: two retries on reset and cancelled"
        if 504 not in retries.get("retriableStatusCodes", []) or "retriable-status-codes" not in retries["retryOn"]:
            yield f"{place}: and on 504"
        weights = [to.get("weight") for to in route["services"]]
        if len(weights) > 1 and sum(weights) != 100:
            yield f"{place}: weights {weights}"
