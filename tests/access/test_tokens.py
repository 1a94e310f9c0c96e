"""Tokens of agents: what they are for, and that a real API server gives them to those who may."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.access.differences import difference
from reconciler.core.access.permissions import permissions
from reconciler.core.access.policy import AccessPolicy
from reconciler.core.access.subjects import agent_namespace
from reconciler.core.access.tokens import AgentToken, TokenTerms, require_terms, terms_of
from reconciler.core.errors import Corrupt, Forbidden, Missing, Refused
from reconciler.core.manifests import JsonObject
from reconciler.sandbox import ControlPlane
from reconciler.surfaces.access_commands import access_group
from reconciler.wiring.access import access_tools
from tests.access.builders import TODAY, agent, on_models, role
from tests.access.real import PATIENCE, Names, connected, put, scope, tree_of
from tests.access.real import role as written_role

TERMS = TokenTerms("bot", "models", timedelta(minutes=12))
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def home(**annotations: str) -> JsonObject:
    notes = {"token-audience": "models", "token-seconds": "720", "expires": "2026-11-25"}
    return {
        "metadata": {
            "labels": {"fairlead.dev/agent": "bot"},
            "annotations": {f"fairlead.dev/{k}": v for k, v in {**notes, **annotations}.items()},
        }
    }


def test_the_scope_in_force_says_what_a_token_is_for() -> None:
    assert terms_of("bot", home(), date(2026, 11, 25)) == TERMS


def test_no_annotation_makes_a_token_longer_than_a_quarter_of_an_hour() -> None:
    found = terms_of("bot", home(**{"token-seconds": "86400"}), date(2026, 11, 25))
    assert found.lifetime == timedelta(minutes=15)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (None, Missing),
        ({"metadata": {"name": "agent-bot"}}, Missing),
        (home(expires="2026-11-24"), Refused),
        (home(expires="soon"), Corrupt),
    ],
)
def test_without_a_scope_in_force_there_is_no_token(body: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        terms_of("bot", body, date(2026, 11, 25))


def test_a_token_that_came_out_longer_is_thrown_away() -> None:
    token = AgentToken("a.b.c", "1", NOW + timedelta(hours=1), "models")
    with pytest.raises(Refused) as refused:
        require_terms(token, TERMS, NOW)
    assert "a.b.c" not in f"{refused.value} {token!r}"


def test_who_may_be_given_tokens_is_in_the_difference() -> None:
    roles = [role("owner", on_models({"team": "risk"}, "infer"))]
    before, after = (
        AccessPolicy.of(roles=roles, agents=[agent("bot", token={"audience": "a", "by": by})])
        for by in ([], ["owner"])
    )
    found = difference(permissions(before, TODAY), permissions(after, TODAY))
    assert found.sentences == ("Role owner may now get tokens of bot",)
    assert not difference(permissions(after, date.max), permissions(before, date.max)).lost


@pytest.fixture
async def bot(cluster: KubernetesCluster, names: Names) -> str:
    """An agent whose tokens the members of one role may be given."""
    name = names.agent("bot")
    declared = scope(name, "[]").replace("audience: models", "audience: models, by: [minter]")
    rule = "[{models: {labels: {team: risk}}, actions: [infer]}]"
    minters = written_role("minter", f"minters-{names.mark}", rule)
    await put(cluster, tree_of(names, declared, minters))
    return name


async def asked(kubeconfig: Path, *words: str) -> Result:
    """As a person runs it, until the API server has seen who may."""
    arguments = ["token", *words, "--kubeconfig", str(kubeconfig)]
    for _ in range(PATIENCE):
        result = await asyncio.to_thread(
            CliRunner().invoke, access_group, arguments, obj=access_tools()
        )
        if not isinstance(result.exception, Forbidden):
            break
        await asyncio.sleep(0.05)
    return result


async def reviewed(cluster: KubernetesCluster, token: str, *audiences: str) -> Any:
    body: JsonObject = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": list(audiences)},
    }
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    answer: Any = await cluster.connection.request("POST", path, doing="review", body=body)
    return answer["status"]


async def test_who_may_gets_a_token_that_is_good_at_the_gateway_and_nowhere_else(
    api_server: ControlPlane, cluster: KubernetesCluster, names: Names, bot: str
) -> None:
    minter = api_server.kubeconfig_for("mei", [f"oidc:minters-{names.mark}"])
    result = await asked(minter, bot)
    assert result.exit_code == 0, result.exception
    token = result.stdout.strip()
    assert (await reviewed(cluster, token, "models"))["authenticated"] is True
    assert not (await reviewed(cluster, token)).get("authenticated")
    told: Any = (await reviewed(cluster, token, "models"))["user"]["extra"]
    (identifier,) = told["authentication.kubernetes.io/credential-id"]
    assert identifier.removeprefix("JTI=") in result.stderr
    assert token not in result.stderr


async def test_a_token_as_json_says_until_when(
    api_server: ControlPlane, names: Names, bot: str
) -> None:
    minter = api_server.kubeconfig_for("mei", [f"oidc:minters-{names.mark}"])
    told = json.loads((await asked(minter, bot, "--json")).stdout)
    lasts = datetime.fromisoformat(told["expires"]) - datetime.now(UTC)
    assert timedelta(minutes=11) < lasts <= timedelta(minutes=12)
    assert told["audience"] == "models"


async def test_a_token_can_end_with_a_pod(
    api_server: ControlPlane, cluster: KubernetesCluster, names: Names, bot: str
) -> None:
    minter = api_server.kubeconfig_for("mei", [f"oidc:minters-{names.mark}"])
    await asked(minter, bot)
    result = await asked(minter, bot, "--pod", "nobody")
    assert isinstance(result.exception, Missing)


async def test_nobody_else_gets_one_and_nobody_gets_one_of_nobody(
    api_server: ControlPlane, cluster: KubernetesCluster, bot: str
) -> None:
    stranger = api_server.kubeconfig_for("eve", ["oidc:others"])
    arguments = ["token", bot, "--kubeconfig", str(stranger)]
    result = await asyncio.to_thread(
        CliRunner().invoke, access_group, arguments, obj=access_tools()
    )
    assert isinstance(result.exception, Forbidden)
    assert "token.by" in result.exception.hint
    assert result.stdout == ""
    assert isinstance((await asked(api_server.kubeconfig, "unheard-of")).exception, Missing)


async def test_who_may_have_tokens_of_one_agent_has_none_of_another_account(
    api_server: ControlPlane, cluster: KubernetesCluster, names: Names, bot: str
) -> None:
    minter = api_server.kubeconfig_for("mei", [f"oidc:minters-{names.mark}"])
    assert (await asked(minter, bot)).exit_code == 0
    async with connected(api_server, "mei", f"oidc:minters-{names.mark}") as mei:
        for place, account in ((agent_namespace(bot), "default"), (names.team, bot)):
            path = f"/api/v1/namespaces/{place}/serviceaccounts/{account}/token"
            with pytest.raises(Forbidden):
                await mei.connection.request("POST", path, doing="ask", body={})
