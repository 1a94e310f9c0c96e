"""The real servers that tests share. Each is started once, when the first test asks.

Separate from the tests because a start costs seconds. Tests stay apart by working in a namespace
of their own, and by leaving cluster-scoped objects of others alone.
"""

from __future__ import annotations

import functools
import os
import platform
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import settings
from signals.prometheus import running
from vault.server import RealVault
from vault.server import running as running_vault
from xdist.remote import Producer
from xdist.workermanage import WorkerController

from reconciler.sandbox import (
    Binaries,
    BinarySettings,
    Components,
    ControlPlane,
    IsolationForbidden,
    SandboxError,
    artefacts,
    locate,
    require_network_namespaces,
)
from reconciler.sandbox.progress import Progress
from reconciler.sandbox.releases import VAULT
from tests import workers

# gRPC would start its threads again in each process that is forked from one that used it, and abort
# the child when its files are closed, before it becomes another program.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# A busy machine makes one example slow and the next one fast, which is no finding; what hangs ends
# at the time limit of its test.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# Time passes as soon as no task is ready. The usual 42 idle turns of the loop before it does are
# for input from outside, and were a third of what such a test takes.
NO_WAITING = pytest.mark.looptime(noop_cycles=0)

PLANES = {"control_plane", "api_server", "gateway_plane"}


class TerminalProgress:
    """Lines for the person who waits. Updates too, thinned: a build log is no animation."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter
        self._updates = 0

    def line(self, text: str) -> None:
        self._reporter.write_line(text)

    def update(self, text: str) -> None:
        self._updates += 1
        if self._updates % 15 == 0:
            self._reporter.write_line(text)


def binaries_for(
    components: Components, progress: Progress | None = None, *, gateway: bool = False
) -> Binaries:
    names = artefacts(components, gateway_api=True, gateway=gateway)
    return locate(names, BinarySettings.from_environment(os.environ), progress=progress)


# First of all, since workers read the groups of their tests in this hook as well.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        needed = set(getattr(item, "fixturenames", ()))
        if needed & PLANES:
            item.add_marker(pytest.mark.cluster)
        if "gateway_plane" in needed:
            item.add_marker(pytest.mark.gateway)
        for name in {"browser", "prometheus"} & needed:
            item.add_marker(name)
        if "real_vault" in needed:
            item.add_marker(workers.VAULT)
        if item.get_closest_marker("looptime"):
            item.add_marker(NO_WAITING)
    workers.group(items)
    if hasattr(config, "workerinput"):
        workers.longest_first(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    marks = {mark.name for item in session.items for mark in item.iter_markers()}
    _build_what_is_missing(session.config, marks)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Sequence[str]) -> None:
    _build_what_is_missing(node.config, {name.rpartition("@")[2] for name in ids})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> workers.Division:
    return workers.Division(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    report.nodeid = workers.without_group(report.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that tests measured, and recorded as properties."""
    for report in terminalreporter.getreports("passed"):
        for name, said in report.user_properties:
            if name == "figure" and report.when == "call":
                terminalreporter.write_line(str(said))


def _build_what_is_missing(config: pytest.Config, marks: set[str]) -> None:
    """Before the first test, since no test's time limit covers minutes of it."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if config.option.collectonly or reporter is None:
        return
    progress = TerminalProgress(reporter)
    if marks & {workers.CLUSTER, workers.GATEWAY}:
        wanted = workers.GATEWAY in marks and not _forbidden()
        binaries_for(Components.FULL, progress, gateway=wanted)
    if workers.PROMETHEUS in marks:
        _prometheus_binary(progress)
    if workers.VAULT in marks and isinstance(trouble := _vault_programs(progress), str):
        progress.line(f"tests with a real Vault are skipped: {trouble}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gateway") and (reason := _forbidden()):
        pytest.skip(reason)


@functools.cache
def _forbidden() -> str:
    """Why no data plane can be had here; empty where one can."""
    if platform.machine() != "x86_64" and shutil.which("envoy") is None:
        return f"there is no envoy on PATH, and no package of it for {platform.machine()}"
    try:
        require_network_namespaces()
    except IsolationForbidden as forbidden:
        return forbidden.message
    return ""


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """With controllers, a scheduler, three nodes of eight GPUs, and the Gateway API's kinds."""
    yield from _started(Components.FULL, tmp_path_factory)


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Only etcd and the API server, with the Gateway API's kinds: nothing acts on objects."""
    yield from _started(Components.BARE, tmp_path_factory)


@pytest.fixture(scope="session")
def gateway_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with a Gateway, and a model server that answers for every pod."""
    yield from _started(Components.FULL, tmp_path_factory, gateway=True)


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Prometheus, which scrapes itself."""
    binary = _prometheus_binary()
    if isinstance(binary, str):
        pytest.skip(binary)
    with running(binary, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def _prometheus_binary(progress: Progress | None = None) -> Path | str:
    """Or why there is none: directories of binaries that people have are without it."""
    settings = BinarySettings.from_environment(os.environ)
    try:
        return locate(["prometheus"], settings, progress=progress)["prometheus"]
    except SandboxError as error:
        return error.message


@pytest.fixture(scope="session")
def real_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealVault]:
    """A real Vault, set up as docs/secrets.md says."""
    programs = _vault_programs()
    if isinstance(programs, str):
        pytest.skip(programs)
    with running_vault(
        programs["vault"],
        programs["vault-plugin-auth-kubernetes"],
        tmp_path_factory.mktemp("vault"),
    ) as vault:
        yield vault


def _vault_programs(progress: Progress | None = None) -> Binaries | str:
    """Or why there are none. A build that failed once is not tried again."""
    if not _VAULT:
        settings = BinarySettings.from_environment(os.environ)
        try:
            _VAULT.append(locate(sorted(VAULT.artefacts), settings, progress=progress))
        except SandboxError as error:
            _VAULT.append(error.message)
    return _VAULT[0]


_VAULT: list[Binaries | str] = []


@pytest.fixture
def namespace() -> str:
    """A name that no other test uses; the test creates it."""
    return f"test-{secrets.token_hex(5)}"


def _started(
    components: Components, directories: pytest.TempPathFactory, *, gateway: bool = False
) -> Iterator[ControlPlane]:
    plane = ControlPlane(
        binaries_for(components, gateway=gateway),
        components=components,
        gateway=gateway,
        root=directories.mktemp("sandboxes"),
    )
    with plane:
        yield plane
