"""Credentials: what is refused, what is refreshed, and what never leaks."""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from reconciler.adapters.cluster_connection import ApiConnection
from reconciler.adapters.cluster_credentials import InCluster, Kubeconfig
from reconciler.core.errors import Misconfigured, Unavailable

from .scripted import TOKEN, Answer, LeapingClock, ScriptedServer, write_kubeconfig


def ok() -> Answer:
    return Answer(pieces=[b"{}"])


async def ask(access: Kubeconfig | InCluster, clock: LeapingClock, *, times: int = 1) -> None:
    connection = ApiConnection(access, clock)
    try:
        for _ in range(times):
            await connection.request("GET", "/version", doing="ask")
            await clock.sleep(61)
    finally:
        await connection.close()


async def refusal_of(access: Kubeconfig | InCluster) -> str:
    with pytest.raises(Misconfigured) as caught:
        await ask(access, LeapingClock())
    return f"{caught.value.message} {caught.value.hint}"


def exec_plugin(folder: Path, **status: Any) -> dict[str, Any]:
    ran = folder / "ran"
    credential = json.dumps(
        {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": status,
        }
    )
    script = f"open({str(ran)!r}, 'a').write('x'); print({credential!r})"
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": ["-c", script],
            "interactiveMode": "Never",
        }
    }


async def test_a_token_is_sent(server: ScriptedServer, tmp_path: Path, clock: LeapingClock) -> None:
    server.will_answer(ok())
    await ask(Kubeconfig(server.kubeconfig(tmp_path)), clock)
    assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_a_program_for_credentials_is_refused_and_not_run(tmp_path: Path) -> None:
    plugin = exec_plugin(tmp_path, token="t")
    path = write_kubeconfig(tmp_path, {"server": "https://127.0.0.1:1"}, plugin)
    assert "asks to run a program" in await refusal_of(Kubeconfig(path))
    assert not (tmp_path / "ran").exists()


async def test_a_program_for_credentials_runs_when_it_is_allowed(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(ok())
    path = server.kubeconfig(tmp_path, **exec_plugin(tmp_path, token="printed"))
    await ask(Kubeconfig(path, allow_exec=True), clock)
    assert server.asked[0].headers["Authorization"] == "Bearer printed"


async def test_a_token_of_a_program_is_kept_until_it_ends(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(ok(), ok())
    plugin = exec_plugin(tmp_path, token="t", expirationTimestamp="2999-01-01T00:00:00Z")
    path = server.kubeconfig(tmp_path, **plugin)
    await ask(Kubeconfig(path, allow_exec=True), clock, times=2)
    assert (tmp_path / "ran").read_text() == "x"


async def test_a_program_whose_token_has_no_end_is_asked_again(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(ok(), ok())
    path = server.kubeconfig(tmp_path, **exec_plugin(tmp_path, token="t"))
    await ask(Kubeconfig(path, allow_exec=True), clock, times=2)
    assert (tmp_path / "ran").read_text() == "xx"


@pytest.mark.parametrize(
    "status",
    [{}, {"clientCertificateData": "c"}, {"token": "t", "expirationTimestamp": "tomorrow"}],
)
async def test_a_program_that_prints_nothing_of_use_is_refused(
    tmp_path: Path, status: dict[str, str]
) -> None:
    plugin = exec_plugin(tmp_path, **status)
    path = write_kubeconfig(tmp_path, {"server": "https://127.0.0.1:1"}, plugin)
    assert "exec: " in await refusal_of(Kubeconfig(path, allow_exec=True))


async def test_a_program_may_print_a_certificate(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    issued = server.authority.issue_cert("client")
    plugin = exec_plugin(
        tmp_path,
        clientCertificateData=issued.cert_chain_pems[0].bytes().decode(),
        clientKeyData=issued.private_key_pem.bytes().decode(),
    )
    server.will_answer(ok())
    await ask(Kubeconfig(server.kubeconfig(tmp_path, **plugin), allow_exec=True), clock)
    assert "Authorization" not in server.asked[0].headers


async def test_a_name_and_a_password_are_sent(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(ok())
    path = server.kubeconfig(tmp_path, username="me", password="pass")
    await ask(Kubeconfig(path), clock)
    assert server.asked[0].headers["Authorization"] == "Basic bWU6cGFzcw=="


async def test_an_auth_provider_is_refused(tmp_path: Path) -> None:
    path = write_kubeconfig(
        tmp_path, {"server": "https://127.0.0.1:1"}, {"auth-provider": {"name": "gcp"}}
    )
    assert "auth-provider" in await refusal_of(Kubeconfig(path, allow_exec=True))


async def test_a_token_file_is_read_again(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    connection = ApiConnection(Kubeconfig(server.kubeconfig(tmp_path, tokenFile="token")), clock)
    server.will_answer(ok(), ok(), ok())
    await connection.request("GET", "/version", doing="ask")
    token.write_text("second\n")
    await connection.request("GET", "/version", doing="ask")
    await clock.sleep(61)
    await connection.request("GET", "/version", doing="ask")
    await connection.close()
    sent = [asked.headers["Authorization"] for asked in server.asked]
    assert sent == ["Bearer first", "Bearer first", "Bearer second"]


async def test_a_private_key_is_not_left_on_the_disk(
    server: ScriptedServer,
    tmp_path: Path,
    clock: LeapingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    issued = server.authority.issue_cert("client")
    path = server.kubeconfig(
        tmp_path,
        **{
            "client-certificate-data": base64.b64encode(issued.cert_chain_pems[0].bytes()).decode(),
            "client-key-data": base64.b64encode(issued.private_key_pem.bytes()).decode(),
        },
    )
    server.will_answer(ok())
    await ask(Kubeconfig(path), clock)
    assert list(temporary.rglob("*")) == []


async def test_a_server_of_another_authority_is_not_trusted(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    path = write_kubeconfig(tmp_path, {"server": server.url}, {"token": TOKEN})
    with pytest.raises(Unavailable, match="certificate"):
        await ask(Kubeconfig(path), clock)
    assert server.asked == []


async def test_a_server_that_is_not_there_is_unavailable(
    tmp_path: Path, clock: LeapingClock
) -> None:
    path = write_kubeconfig(tmp_path, {"server": "https://127.0.0.1:1"}, {"token": TOKEN})
    with pytest.raises(Unavailable) as caught:
        await ask(Kubeconfig(path), clock)
    assert TOKEN not in str(caught.value)


async def test_a_redirect_does_not_carry_the_token_away(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(Answer(302, headers={"Location": f"{server.url}/elsewhere"}))
    with pytest.raises(Exception, match="302"):
        await ask(Kubeconfig(server.kubeconfig(tmp_path)), clock)
    assert len(server.asked) == 1


async def test_a_proxy_of_the_environment_is_not_asked(
    server: ScriptedServer,
    tmp_path: Path,
    clock: LeapingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    server.will_answer(ok())
    await ask(Kubeconfig(server.kubeconfig(tmp_path)), clock)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "content", ["", "- a list", "current-context: absent", "{", "current-context: [x]"]
)
async def test_what_is_not_a_kubeconfig_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    assert str(path) in await refusal_of(Kubeconfig(path))


async def test_a_kubeconfig_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in await refusal_of(Kubeconfig(tmp_path / "absent"))


async def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, {"server": "https://127.0.0.1:1"}, {"token": TOKEN})
    assert "elsewhere" in await refusal_of(Kubeconfig(path, context="elsewhere"))


async def test_a_broken_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = write_kubeconfig(
        tmp_path, {"server": "https://127.0.0.1:1"}, {"client-key-data": "*hunter2*"}
    )
    assert "hunter2" not in await refusal_of(Kubeconfig(path))


async def test_outside_a_cluster_there_is_no_service_account() -> None:
    assert "service account" in await refusal_of(InCluster())


async def test_in_a_cluster_the_service_account_is_used(
    server: ScriptedServer,
    tmp_path: Path,
    clock: LeapingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = yaml.safe_load(server.kubeconfig(tmp_path, token="unused").read_text())
    address = urlsplit(content["clusters"][0]["cluster"]["server"])
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    (tmp_path / "ca.crt").write_bytes(server.authority.cert_pem.bytes())
    (tmp_path / "token").write_text("projected\n")
    server.will_answer(ok())
    await ask(InCluster(tmp_path), clock)
    assert server.asked[0].headers["Authorization"] == "Bearer projected"


async def test_a_token_file_that_went_is_told_and_not_sent(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    connection = ApiConnection(Kubeconfig(server.kubeconfig(tmp_path, tokenFile="token")), clock)
    server.will_answer(ok())
    await connection.request("GET", "/version", doing="ask")
    token.unlink()
    await clock.sleep(61)
    with pytest.raises(Unavailable, match="cannot read the token"):
        await connection.request("GET", "/version", doing="ask")
    await connection.close()
