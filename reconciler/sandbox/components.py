"""The programs of a control plane and the flags that each is started with.

Separate because the flags are the knowledge: what makes it start in seconds, answer quickly and
stay private to its owner. Every path is relative to the directory of the control plane, which is
the working directory of all of them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KWOK = "kwok"
CONTOUR = "contour"
ENVOY = "envoy"
MODEL_SERVERS = "model-servers"
AUTHORIZER = "authorizer"

ETCD_SOCKET = "etcd:2379"
"""etcd insists on the form host:port even for a file name. A socket in a private directory needs
no port and no certificates, and nobody else can go around the API server's access rules."""

AUTHENTICATION = "authentication.yaml"
"""Whose tokens the API server takes, where it is told."""
AUDIT_POLICY = "audit-policy.json"
REFUSED_LOG = "logs/refused.log"
"""Requests by nobody whom the API server knows, such as with a token that is not for it. What those
do whom it knows is not written: nobody here reads it, and every request would pay for it."""
REFUSED_ONLY = """\
{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [
  {"level": "None", "userGroups": ["system:authenticated", "system:unauthenticated"]},
  {"level": "Metadata"}
]}
"""
ADMIN = "admin"
SERVICE_RANGE = "10.96.0.0/16"
FIRST_SERVICE_ADDRESS = "10.96.0.1"
POD_RANGE = "10.77.0.1/16"
NODE_ADDRESS = "10.77.0.1"
FIRST_POD = "10.77.0.2/16"
GATEWAY_ADDRESS = "10.77.255.2"
"""From which the gateway connects to pods. Pods get theirs from the other end of the range."""
AUTHORIZER_ADDRESS = "10.77.255.3"
GATEWAY_NAMESPACE = "gateway-system"


class Components(enum.Enum):
    """How much of a control plane to start."""

    BARE = (ETCD, API_SERVER)
    """Objects are stored, defaulted, validated and authorized, and nothing acts on them."""
    FULL = (ETCD, API_SERVER, CONTROLLER_MANAGER, SCHEDULER, KWOK)
    """Deployments become pods, pods are scheduled to nodes and become ready."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a program is to the API server."""

    user: str
    groups: tuple[str, ...] = ()


IDENTITIES: Mapping[str, Identity] = {
    ADMIN: Identity("fairlead:admin", ("system:masters",)),
    CONTROLLER_MANAGER: Identity("system:kube-controller-manager"),
    SCHEDULER: Identity("system:kube-scheduler"),
    KWOK: Identity("fairlead:kwok", ("system:masters",)),
    CONTOUR: Identity("fairlead:contour", ("system:masters",)),
    MODEL_SERVERS: Identity("fairlead:model-servers", ("system:masters",)),
    AUTHORIZER: Identity("fairlead:authorizer"),
}


def write_audit_policy(directory: Path) -> None:
    (directory / AUDIT_POLICY).write_text(REFUSED_ONLY)


def arguments(component: str, *, port: int, authentication: bool = False) -> Sequence[str]:
    """The flags of one program. `port` is the API server's, and so is the file `authentication`."""
    if component == API_SERVER:
        more = (f"--authentication-config={AUTHENTICATION}",) if authentication else ()
        return (*_api_server(port), *more)
    return _OTHERS[component]


def _api_server(port: int) -> tuple[str, ...]:
    return (
        f"--etcd-servers=unix://{ETCD_SOCKET}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        # The control plane holds the port, bound but not listening, for as long as it lives: no
        # other program can take it, not even while the API server is being restarted.
        "--permit-port-sharing=true",
        "--tls-cert-file=pki/apiserver.crt",
        "--tls-private-key-file=pki/apiserver.key",
        "--cert-dir=pki",
        "--client-ca-file=pki/ca.crt",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=pki/service-accounts.pub",
        "--service-account-signing-key-file=pki/service-accounts.key",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        # Any address will do, as nobody is told; else it looks for one that a route leads from.
        f"--advertise-address={NODE_ADDRESS}",
        # An endpoint may not be a loopback address, and no pod here could reach one.
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",
        f"--audit-policy-file={AUDIT_POLICY}",
        f"--audit-log-path={REFUSED_LOG}",
        # The defaults, 400 and 200, are for a server that others share.
        "--max-requests-inflight=2000",
        "--max-mutating-requests-inflight=1000",
        "--etcd-count-metric-poll-period=0",
        "--profiling=false",
        "--v=0",
    )


_OTHERS: Mapping[str, tuple[str, ...]] = {
    ETCD: (
        "--name=sandbox",
        "--data-dir=etcd-data",
        # The data is removed with the control plane: there is no power cut to survive.
        "--unsafe-no-fsync=true",
        f"--listen-client-urls=unix://{ETCD_SOCKET}",
        f"--advertise-client-urls=unix://{ETCD_SOCKET}",
        # A cluster of one has no peers, but etcd wants a listener for them: any free port.
        "--listen-peer-urls=http://127.0.0.1:0",
        "--initial-advertise-peer-urls=http://127.0.0.1:0",
        "--initial-cluster=sandbox=http://127.0.0.1:0",
        "--quota-backend-bytes=8589934592",
        "--log-level=warn",
    ),
    CONTROLLER_MANAGER: (
        f"--kubeconfig={CONTROLLER_MANAGER}.kubeconfig",
        "--leader-elect=false",
        "--secure-port=0",
        "--root-ca-file=pki/ca.crt",
        "--service-account-private-key-file=pki/service-accounts.key",
        # Each controller with its own rights, as everywhere; the common user has next to none.
        "--use-service-account-credentials=true",
        "--cluster-signing-cert-file=pki/ca.crt",
        "--cluster-signing-key-file=pki/ca.key",
        # Client-side throttling: 20 requests a second would hide how fast a reconciler is.
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
        "--concurrent-deployment-syncs=20",
        "--concurrent-replicaset-syncs=20",
        "--v=0",
    ),
    SCHEDULER: (
        f"--kubeconfig={SCHEDULER}.kubeconfig",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
        "--v=0",
    ),
    KWOK: (
        f"--kubeconfig={KWOK}.kubeconfig",
        "--manage-all-nodes=true",
        f"--cidr={FIRST_POD}",
        f"--node-ip={NODE_ADDRESS}",
        "--node-lease-duration-seconds=40",
        "--v=WARN",
    ),
}
