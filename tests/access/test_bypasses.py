"""No plain manifest and no role leads round the authorizer; and model servers are shut."""

from __future__ import annotations

import pytest

from reconciler.core.access.connections import Endpoint, admits
from reconciler.core.identifiers import ClusterName
from reconciler.core.manifests import JsonObject
from tests.desired.builders import POLICY, ROLLOUT, codes

from .test_units import FILES, PRODUCTION, STAGING, bodies, repository, state_of, unit

SHUT = POLICY + "  authorizer: {namespace: monitoring, admit: {namespaces: [monitoring]}}\n"
META = "metadata: {name: way-round, namespace: team-risk}\n"
SERVICE = f"apiVersion: v1\nkind: Service\n{META}spec: "
POLICY_OF = f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n{META}spec: "
ROUTE = f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n{META}spec: "
LABELS = "{fairlead.dev/rollout: fraud-detector}"


def found(policy: str = SHUT, **files: str) -> list[str]:
    tree = {**repository(**{**FILES, **files}), "fairlead.yaml": policy}
    return [code for code in codes(tree) if code != "access-tests-missing"]


def of(manifest: str, policy: str = SHUT) -> list[str]:
    return found(policy, platform__search__way=manifest)


@pytest.mark.parametrize(
    "manifest",
    [
        f"{SERVICE}{{type: NodePort, selector: {LABELS}, ports: [{{port: 80}}]}}",
        f"{SERVICE}{{type: LoadBalancer, selector: {LABELS}, ports: [{{port: 80}}]}}",
        f"{SERVICE}{{externalIPs: [192.0.2.1], selector: {LABELS}, ports: [{{port: 80}}]}}",
        f"{ROUTE}{{rules: [{{backendRefs: [{{name: fraud-detector-v4, port: 80}}]}}]}}",
        f"{ROUTE}{{rules: [{{filters: [{{type: RequestMirror, requestMirror: "
        "{backendRef: {name: fraud-detector, port: 80}}}]}]}",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
        "metadata: {name: far, namespace: monitoring}\n"
        "spec: {rules: [{backendRefs: [{name: fraud-detector, namespace: team-risk}]}]}",
        f"apiVersion: networking.k8s.io/v1\nkind: Ingress\n{META}"
        "spec: {defaultBackend: {service: {name: fraud-detector, port: {number: 80}}}}",
        f"{POLICY_OF}{{podSelector: {{}}, ingress: [{{}}]}}",
        f"{POLICY_OF}{{podSelector: {{}}, ingress: [{{from: [{{podSelector: {{}}}}]}}]}}",
        f"{POLICY_OF}{{podSelector: {{}}, ingress: [{{from: [{{ipBlock: "
        "{cidr: 0.0.0.0/0}}]}]}",
    ],
)
def test_a_manifest_that_leads_past_the_authorizer_refuses_the_commit(manifest: str) -> None:
    assert of(manifest) == ["past-authorizer"]
    assert "past-authorizer" not in of(manifest, POLICY)


def test_a_service_of_ones_own_onto_models_is_no_way_for_a_route() -> None:
    service = f"{SERVICE}{{selector: {LABELS}, ports: [{{port: 80}}]}}"
    route = ROUTE.replace("way-round", "other") + "{rules: [{backendRefs: [{name: way-round}]}]}"
    assert of(service) == []
    assert of(f"{service}\n---\n{route}") == ["past-authorizer"]


def test_another_name_of_a_models_service_is_no_way_for_a_route() -> None:
    alias = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: alias, namespace: monitoring}\n"
        "spec: {type: ExternalName, externalName: fraud-detector-v4.team-risk.svc.cluster.local}"
    )
    route = ROUTE.replace("namespace: team-risk", "namespace: monitoring")
    assert of(alias) == []
    assert of(f"{alias}\n---\n{route}{{rules: [{{backendRefs: [{{name: alias}}]}}]}}") == [
        "past-authorizer"
    ]


@pytest.mark.parametrize(
    "manifest",
    [
        f"{SERVICE}{{type: NodePort, selector: {{app: shop}}, ports: [{{port: 80}}]}}",
        f"{ROUTE}{{rules: [{{backendRefs: [{{name: shop, port: 80}}]}}]}}",
        f"{POLICY_OF}{{podSelector: {{}}}}",
        f"{POLICY_OF}{{podSelector: {{matchLabels: {{app: shop}}}}, ingress: [{{}}]}}",
        f"{POLICY_OF}{{podSelector: {{}}, ingress: [{{from: [{{namespaceSelector: "
        "{matchLabels: {kubernetes.io/metadata.name: monitoring}}}]}]}",
    ],
)
def test_what_has_nothing_to_do_with_models_is_left_alone(manifest: str) -> None:
    assert of(manifest) == []


def test_a_pod_in_the_network_of_its_node_is_let_in_nowhere() -> None:
    template = (
        "{metadata: {labels: {app: a}}, spec: {hostNetwork: true, containers: "
        f"[{{name: one, image: r.example.com/one@sha256:{'ab' * 32}}}]}}}}"
    )
    selector = "{matchLabels: {app: a}}"
    workload = (
        f"apiVersion: apps/v1\nkind: DaemonSet\n{META}"
        f"spec: {{selector: {selector}, template: {template}}}"
    )
    assert of(workload) == ["past-authorizer"]


@pytest.mark.parametrize("resource", ["pods/proxy", "services/proxy", "pods/exec"])
def test_no_role_leads_there_through_the_api_server(resource: str) -> None:
    roles = FILES["roles"].replace("pods/log", resource)
    assert found(roles=roles) == ["past-authorizer"]
    assert found(POLICY, roles=roles) == []


def rendered(cluster: ClusterName, policy: str) -> list[JsonObject]:
    found = unit("access", cluster, policy=policy, rollouts=ROLLOUT)
    return list(bodies(found, "NetworkPolicy").values())


def test_model_servers_take_connections_from_the_gateway_and_whom_the_policy_admits() -> None:
    policies = rendered(PRODUCTION, SHUT)
    pod = Endpoint("team-risk", {"fairlead.dev/model": "fraud-detector"}, "10.0.0.9")
    assert admits(policies, pod, source=Endpoint("gateways"), port=8000)
    assert admits(policies, pod, source=Endpoint("monitoring"), port=8000)
    for source in ("team-risk", "agent-bot", "default", ""):
        assert not admits(policies, pod, source=Endpoint(source, address="10.0.0.7"), port=8000)
    other = Endpoint("team-risk", {"app": "notebook"})
    assert admits(policies, other, source=Endpoint("default"), port=8000)


def test_whom_nobody_is_admitted_by_has_no_callers() -> None:
    (policy,) = rendered(STAGING, SHUT.replace("{namespaces: [monitoring]}", "{}"))
    assert policy["spec"]["ingress"] == []


def test_addresses_are_let_in_by_range() -> None:
    text = SHUT.replace("{namespaces: [monitoring]}", "{addresses: [10.1.0.0/28]}")
    policies = rendered(STAGING, text)
    pod = Endpoint("team-risk", {"fairlead.dev/model": "fraud-detector"})
    assert admits(policies, pod, source=Endpoint(address="10.1.0.3"), port=8000)
    assert not admits(policies, pod, source=Endpoint(address="10.1.0.16"), port=8000)


def test_without_a_word_about_it_nothing_is_rendered_and_the_plan_says_so() -> None:
    policy = POLICY + "  authorizer: {namespace: monitoring}\n"
    assert rendered(STAGING, policy) == []
    assert any("past the gateway" in notice for notice in state_of(policy=policy).notices)
    assert not any("past the gateway" in notice for notice in state_of(policy=SHUT).notices)


def test_a_range_of_addresses_is_one() -> None:
    text = SHUT.replace("{namespaces: [monitoring]}", "{addresses: [10.1.0.3/28]}")
    assert found(text) == ["field-value"]


@pytest.mark.parametrize(
    "spec",
    [
        "{policyTypes: [Ingress], ingress: [{}]}",
        "{podSelector: , policyTypes: [Ingress], ingress: [{}]}",
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: "
        "{kubernetes.io/metadata.name: [x]}}}]}]}",
    ],
)
def test_a_policy_about_every_pod_opens_model_servers_however_it_says_so(spec: str) -> None:
    assert "past-authorizer" in of(POLICY_OF + spec)


SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: by-hand, namespace: team-risk, labels: {kubernetes.io/service-name: z}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.9]}]
"""


@pytest.mark.parametrize(
    "manifest",
    [
        f"{POLICY_OF}{{podSelector: {{matchExpressions: [{{key: pod-template-hash, "
        "operator: Exists}]}, ingress: [{}]}",
        f"{SERVICE}{{type: LoadBalancer, selector: {{pod-template-hash: abc}}, "
        "ports: [{port: 80}]}",
        SLICE,
        ROUTE.replace("HTTPRoute", "UDPRoute").replace("/v1\n", "/v1alpha2\n")
        + "{rules: [{backendRefs: [{name: fraud-detector, port: 80}]}]}",
        f"{SERVICE}{{type: ExternalName, externalName: middle.team-risk.svc.cluster.local}}\n---\n"
        + SERVICE.replace("way-round", "middle")
        + "{type: ExternalName, externalName: fraud-detector.team-risk.svc.cluster.local}\n---\n"
        + ROUTE.replace("way-round", "route")
        + "{rules: [{backendRefs: [{name: way-round, port: 80}]}]}",
    ],
    ids=["hash-in-policy", "hash-in-service", "endpoints", "udp", "two-names"],
)
def test_what_the_repository_cannot_see_of_pods_leads_nowhere(manifest: str) -> None:
    assert "past-authorizer" in of(manifest)


def test_a_service_of_ones_own_may_be_open() -> None:
    assert of(f"{SERVICE}{{type: NodePort, selector: {{app: web}}, ports: [{{port: 80}}]}}") == []
