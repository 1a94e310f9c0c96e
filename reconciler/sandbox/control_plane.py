"""A control plane of one's own on loopback: etcd and an API server, and unless told otherwise the
controllers, the scheduler and nodes with GPUs.

Separate from the command line, because tests and benchmarks start it too. Invariant: when `stop`
returns, and however this process ends, no program and no file of it is left, unless it was
detached.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from reconciler.sandbox import authorizer, bootstrap, data_plane
from reconciler.sandbox.binaries import Binaries
from reconciler.sandbox.certificates import Authority, SigningKey
from reconciler.sandbox.components import (
    ADMIN,
    API_SERVER,
    AUTHENTICATION,
    AUTHORIZER,
    CONTOUR,
    ENVOY,
    ETCD,
    ETCD_SOCKET,
    FIRST_SERVICE_ADDRESS,
    IDENTITIES,
    KWOK,
    MODEL_SERVERS,
    Components,
    arguments,
    write_audit_policy,
)
from reconciler.sandbox.directories import Claim, claim, running
from reconciler.sandbox.errors import ComponentFailed, tail
from reconciler.sandbox.isolation import require_network_namespaces
from reconciler.sandbox.kubeconfig import write_kubeconfig
from reconciler.sandbox.locations import sandboxes_directory
from reconciler.sandbox.progress import Progress, Silent, duration
from reconciler.sandbox.releases import CONTOUR_CRDS, GATEWAY_API_CRDS
from reconciler.sandbox.supervision import Supervision

START_SECONDS = 120.0
"""Generous: the machine may be busy with other control planes."""
POLL_SECONDS = 0.02
RELAY_BACKLOG = 1024


def artefacts(
    components: Components, *, gateway_api: bool, gateway: bool = False
) -> frozenset[str]:
    """What `locate` has to find for such a control plane."""
    names = frozenset(components.value)
    if gateway_api:
        names |= {GATEWAY_API_CRDS}
    if gateway:
        names |= {CONTOUR, CONTOUR_CRDS, ENVOY}
    return names


class ControlPlane:
    """Start it, use `kubeconfig`, stop it; or use it as a context manager."""

    def __init__(
        self,
        binaries: Binaries,
        *,
        components: Components = Components.FULL,
        nodes: int = 3,
        gateway_api: bool = True,
        gateway: bool = False,
        authorize: bool = False,
        authentication: str = "",
        name: str = "",
        root: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Nothing runs yet. Without a name it gets one that nobody else has.

        With a gateway, the programs run in a network of their own, where a model server answers
        for every pod, and the gateway routes to them; to `authorize`, it asks an authorizer first.
        `authentication` is the content of an AuthenticationConfiguration, for whose tokens the API
        server takes.
        """
        assert gateway or not authorize, "it is the gateway that asks"
        assert not gateway or (gateway_api and components is Components.FULL), "it needs all"
        self.name = name or f"unnamed-{secrets.token_hex(6)}"
        self.seconds_to_ready = 0.0
        self._binaries = binaries
        self._components = components
        self._nodes = nodes if components is Components.FULL else 0
        self._gateway_api = gateway_api
        self._gateway = gateway
        self._authorize = authorize
        self._authentication = authentication
        self._root = root or sandboxes_directory(os.environ)
        self._progress = progress or Silent()
        self._claim: Claim | None = None
        self._supervision: Supervision | None = None
        self._port = self._gateway_port = socket.socket()
        self._port_number = self._gateway_port_number = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # What users need

    @property
    def directory(self) -> Path:
        return self._root / self.name

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self._port_number}"

    @property
    def gateway_address(self) -> str:
        """The URL at which the Gateway answers on this machine; empty without one."""
        return f"http://127.0.0.1:{self._gateway_port_number}" if self._gateway else ""

    @property
    def audience(self) -> str:
        """For whom tokens have to be; empty where the gateway asks nobody."""
        return authorizer.AUDIENCE if self._authorize else ""

    @property
    def kubeconfig(self) -> Path:
        """Of an administrator whom no access rule binds."""
        return self.directory / f"{ADMIN}.kubeconfig"

    @property
    def certificate_authority(self) -> Path:
        return self._pki / "ca.crt"

    def kubeconfig_for(self, user: str, groups: Iterable[str] = ()) -> Path:
        """Of a user who may do what access rules grant to the name and the groups."""
        credential = Authority.read(self._pki, "ca").issue_client(user, groups)
        path = self.directory / f"user-{secrets.token_hex(4)}.kubeconfig"
        write_kubeconfig(
            path,
            server=self.server,
            authority=self.certificate_authority.read_bytes(),
            user=user,
            credential=credential,
        )
        return path

    def processes(self) -> Mapping[str, int]:
        """Process ids by component. Raises ComponentFailed when one has ended by itself."""
        return self._supervisor.running()

    @property
    def supervisor_pid(self) -> int:
        return self._supervisor.pid

    # Life

    def start(self) -> None:
        """Returns when it is ready for use.

        Raises AlreadyRunning, ComponentFailed or IsolationForbidden.
        """
        began = time.monotonic()
        if self._gateway:
            require_network_namespaces()
        running(self._root)  # sweeps what crashed ones left
        self._claim = claim(self._root, self.name)
        try:
            self._reserve_ports()
            self._write_credentials()
            if self._authentication:
                self._write_authentication()
            self._spawn_supervisor()
            self._start_programs()
        except BaseException:
            self.stop()
            raise
        self.seconds_to_ready = time.monotonic() - began
        self._progress.line(f"{self.server} is ready after {duration(self.seconds_to_ready)}")

    def stop(self) -> None:
        """Ends every program and removes every file. Harmless when it does not run."""
        if self._supervision is not None:
            self._supervision.close()
            self._supervision = None
        if self._claim is not None:
            self._claim.release()
            self._claim = None
        self._close_ports()

    def detach(self) -> int:
        """Lets it live on after this process. Returns the process id that a signal ends it by."""
        assert self._claim is not None
        pid = self._supervisor.pid
        self._supervisor.detach()
        self._claim.hand_over()
        self._supervision = self._claim = None
        self._close_ports()
        return pid

    def stop_api_server(self, *, graceful: bool = True) -> None:
        """For fault tests: clients see refused connections until it is started again."""
        self._supervisor.stop(API_SERVER, graceful=graceful)

    def start_api_server(self) -> None:
        """On the same port, with the same data."""
        self._start(API_SERVER)
        self._wait_for(API_SERVER, self._client().is_ready)

    def restart_api_server(self, *, graceful: bool = True) -> None:
        self.stop_api_server(graceful=graceful)
        self.start_api_server()

    def authorize(self, *, wanted: bool = True) -> None:
        """From now on the gateway asks an authorizer, or no longer. It takes a second or two."""
        assert self._gateway, "it is the gateway that asks"
        if wanted == self._authorize:
            return
        self._authorize = wanted
        if wanted:
            self._start_authorizer(self._client())
        self._supervisor.stop(CONTOUR, graceful=False)
        self._start_contour()
        if not wanted:
            self._supervisor.stop(AUTHORIZER, graceful=True)

    def authenticate(self, configuration: str) -> None:
        """Replace the AuthenticationConfiguration; the API server takes it up by itself."""
        assert self._authentication, "it was started without one"
        self._authentication = configuration
        self._write_authentication()

    # Steps of starting

    def _reserve_ports(self) -> None:
        # Bound and not listening, shared with the API server by SO_REUSEPORT: between finding a
        # free port and using it, nobody else can take it.
        self._port, self._port_number = _bound()
        if self._gateway:
            self._gateway_port, self._gateway_port_number = _bound()
            # The relay accepts on these, the only sockets that a program inside has outside.
            for reserved in (self._port, self._gateway_port):
                reserved.listen(RELAY_BACKLOG)

    def _close_ports(self) -> None:
        self._port.close()
        self._gateway_port.close()

    def _write_authentication(self) -> None:
        # Half a file would be refused, and that be the end of it until the next change.
        partial = self.directory / f"{AUTHENTICATION}.partial"
        partial.write_text(self._authentication, encoding="utf-8")
        partial.replace(self.directory / AUTHENTICATION)

    def _write_credentials(self) -> None:
        self._pki.mkdir()
        write_audit_policy(self.directory)
        authority = Authority.create(f"fairlead sandbox {self.name}")
        authority.credential.write(self._pki, "ca")
        SigningKey.create().write(self._pki, "service-accounts")
        authority.issue_server(
            names=["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
            addresses=[ipaddress.ip_address(a) for a in ("127.0.0.1", FIRST_SERVICE_ADDRESS)],
        ).write(self._pki, "apiserver")
        for component, identity in IDENTITIES.items():
            credential = authority.issue_client(identity.user, identity.groups)
            credential.write(self._pki, component)
            write_kubeconfig(
                self.directory / f"{component}.kubeconfig",
                server=self.server,
                authority=authority.credential.certificate,
                user=identity.user,
                credential=credential,
            )

    def _spawn_supervisor(self) -> None:
        assert self._claim is not None
        held = [self._claim.descriptor, self._port.fileno()]
        if self._gateway:
            held.append(self._gateway_port.fileno())
        paths = self._claim.paths
        self._supervision = Supervision(
            paths.directory, lock=paths.lock, held=held, isolated=self._gateway
        )
        paths.supervisor_pid.write_text(str(self._supervision.pid))

    def _start_programs(self) -> None:
        if self._gateway:
            self._start_relay()
        self._start(ETCD)
        self._wait_for(ETCD, (self.directory / ETCD_SOCKET).exists)
        self._start(API_SERVER)
        client = self._client()
        self._wait_for(API_SERVER, client.is_ready)
        for component in self._components.value[2:]:
            self._start(component)
        with ThreadPoolExecutor(max_workers=1) as pool:
            definitions = self._create_definitions(pool, client)
            names = [f"node-{number}" for number in range(self._nodes)]
            bootstrap.create_nodes(client, names)
            definitions.result()
        if self._components is Components.FULL:
            self._wait_for("the nodes", lambda: bootstrap.have_nodes_joined(client))
            self._wait_for("service accounts", lambda: bootstrap.may_pods_be_created(client))
        self._wait_for("definitions", lambda: bootstrap.are_definitions_established(client))
        if self._gateway:
            self._start_data_plane(client)

    def _start_relay(self) -> None:
        inside = {
            self._port.fileno(): self._port_number,
            self._gateway_port.fileno(): data_plane.ENVOY_PORT,
        }
        command = data_plane.relay_command(inside)
        self._supervisor.start(data_plane.RELAY, command, descriptors=list(inside))

    def _start_data_plane(self, client: bootstrap.ApiClient) -> None:
        data_plane.configure_envoy(self.directory, self._binaries[CONTOUR])
        data_plane.create_gateway(client)
        if self._authorize:
            self._start_authorizer(client)
        self._start_contour()
        self._supervisor.start(ENVOY, [str(self._binaries[ENVOY]), *data_plane.envoy_arguments()])
        self._supervisor.start(MODEL_SERVERS, data_plane.model_servers_command(self.server))
        self._wait_for("the gateway", lambda: data_plane.is_gateway_programmed(client))

    def _start_authorizer(self, client: bootstrap.ApiClient) -> None:
        authorizer.create_authorizer(client)
        self._supervisor.start(AUTHORIZER, authorizer.authorizer_command(self.name))

    def _start_contour(self) -> None:
        asking = authorizer.CONTOUR_CONFIGURATION if self._authorize else {}
        data_plane.configure_contour(self.directory, asking)
        contour = str(self._binaries[CONTOUR])
        self._supervisor.start(CONTOUR, [contour, *data_plane.contour_arguments()])

    def _create_definitions(
        self, pool: ThreadPoolExecutor, client: bootstrap.ApiClient
    ) -> Future[None]:
        if not self._gateway_api:
            return pool.submit(lambda: None)
        directories = [self._binaries[GATEWAY_API_CRDS]]
        if self._gateway:
            directories.append(self._binaries[CONTOUR_CRDS])
        return pool.submit(bootstrap.create_definitions, client, directories)

    def _start(self, component: str) -> None:
        told = bool(self._authentication)
        flags = [*arguments(component, port=self._port_number, authentication=told)]
        if component == KWOK and self._gateway:
            flags += data_plane.kwok_arguments()
        self._supervisor.start(component, [str(self._binaries[component]), *flags])

    def _wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        began = time.monotonic()
        while not condition():
            self._supervisor.running()  # raises when a program has ended
            waited = time.monotonic() - began
            if waited > START_SECONDS:
                log_tail = tail(self.directory / "logs" / f"{what}.log")
                raise ComponentFailed(what, f"not ready after {waited:.0f} s", log_tail=log_tail)
            self._progress.update(f"waiting for {what}, {duration(waited)}")
            time.sleep(POLL_SECONDS)

    def _client(self) -> bootstrap.ApiClient:
        return bootstrap.ApiClient(self._port_number, pki=self._pki, user=ADMIN)

    @property
    def _pki(self) -> Path:
        return self.directory / "pki"

    @property
    def _supervisor(self) -> Supervision:
        assert self._supervision is not None, "start the control plane first"
        return self._supervision


def _bound() -> tuple[socket.socket, int]:
    """With its number."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved, reserved.getsockname()[1]
