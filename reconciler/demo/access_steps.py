"""An agent at the gateway: what it may and what it may not, and who would gain by a change.

Separate from the rest of the story, because here the gateway of one cluster asks the authorizer,
and no users send requests meanwhile. The invariant: what is told of an answer is what the gateway
or the API server said.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.demo.daemon_process import DaemonProcess, fairlead
from reconciler.demo.narration import Narrator, StepFailed
from reconciler.demo.releases import DECLARATION, HOST, MODEL
from reconciler.demo.workshop import Workshop
from reconciler.sandbox import ControlPlane

AGENT = "eval-bot"
SCOPE = "access/agents/eval-bot.yaml"
PERSON, GROUP = "mei-tanaka", "oidc:ml-researchers"
"""A member of the Role that the agent's scope names under `token.by`."""

CHANGE_SECONDS = 30.0
_ROW = b'{"inputs": [{"name": "f", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}'


class AccessSteps:
    """Plays the steps about access at the gateway of `plane`, whose model `version` answers."""

    def __init__(
        self, narrator: Narrator, *, workshop: Workshop, daemon: DaemonProcess, plane: ControlPlane
    ) -> None:
        self._tell = narrator
        self._workshop = workshop
        self._daemon = daemon
        self._plane = plane

    def play(self, version: str) -> None:
        self._tell.step("A read-only agent: what its token is good for, and what it is not")
        with self._asking():
            token = self._token()
            self._may(token, version)
            self._may_not(token)
        self._who_gains()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """The gateway asks the authorizer before each request goes on."""
        self._plane.authorize()
        try:
            self._until(401, "the gateway asks")
            yield
        finally:
            self._plane.authorize(wanted=False)
        self._until(200, "the gateway asks nobody any more")

    def _token(self) -> str:
        kubeconfig = self._plane.kubeconfig_for(PERSON, [GROUP])
        self._tell.command(["fairlead", "access", "token", AGENT])
        said = fairlead("access", "token", AGENT, "--kubeconfig", str(kubeconfig), "--json")
        made = json.loads(said[said.index("{") :])
        self._tell.proof(
            f"{PERSON} gets one for {made['audience']}, good until {made['expires'][11:16]} UTC"
        )
        return str(made["token"])

    def _may(self, token: str, version: str) -> None:
        status, said = self._ask(token, "infer")
        if (status, said) != (200, version):
            raise StepFailed(f"{AGENT} got {status} {said} instead of an answer of {version}")
        self._tell.proof(f"infer on {MODEL}: 200, {version} answers")

    def _may_not(self, token: str) -> None:
        for what, path in (("infer on v4", "versions/v4/infer"), ("retrain", "retrain")):
            status, said = self._ask(token, path)
            if status < 400:
                raise StepFailed(f"{AGENT} was let through to {what}")
            self._tell.proof(f"{what}: {status}, {said}")
        status = self._at_the_api_server(token)
        if status != 401:
            raise StepFailed(f"the API server answered {AGENT} with {status}")
        self._tell.proof("the same token at the API server: 401, it is for the gateway alone")

    def _who_gains(self) -> None:
        """By a change that is proposed, and not made."""
        self._workshop.git("switch", "--quiet", "--create", "wider")
        self._workshop.edit(SCOPE, "actions: [infer]", "actions: [infer, retrain]")
        self._workshop.edit(SCOPE, "{can: retrain, model: fraud-detector@v3, expect: denied}", _NOW)
        declaration = self._workshop.clone / DECLARATION
        declaration.write_text(_widened(declaration.read_text()))
        self._workshop.git("commit", "--quiet", "--all", "--message", "Let eval-bot retrain v3")
        clone = str(self._workshop.clone)
        self._tell.say("somebody proposes to let it retrain v3; the plan says who gains by it:")
        self._tell.command(["fairlead", "access", "diff", "main", "wider"])
        said = fairlead("access", "diff", "main", "wider", clone)
        self._workshop.git("switch", "--quiet", "main")
        self._workshop.git("branch", "--quiet", "-D", "wider")
        self._tell.output(said)
        if f"agent {AGENT} may now retrain on {MODEL}@v3" not in said:
            raise StepFailed("the difference does not name who gains")

    def _ask(self, token: str, path: str) -> tuple[int, str]:
        """Status, and which version answered or why none did."""
        headers = {"Host": HOST, "Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        place = self._plane.gateway_address.removeprefix("http://")
        connection = http.client.HTTPConnection(place, timeout=5)
        try:
            connection.request("POST", f"/v2/models/{MODEL}/{path}", _ROW, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()
        if answer.status == http.HTTPStatus.OK:
            return answer.status, answer.headers.get("x-model-version", "")
        if answer.headers.get_content_type() != "application/json":  # the gateway's own words
            return answer.status, content.decode(errors="replace")
        return answer.status, str(json.loads(content).get("message", ""))

    def _at_the_api_server(self, token: str) -> int:
        trust = ssl.create_default_context(cafile=str(self._plane.certificate_authority))
        place = self._plane.server.removeprefix("https://")
        connection = http.client.HTTPSConnection(place, timeout=5, context=trust)
        try:
            headers = {"Authorization": f"Bearer {token}"}
            connection.request("GET", "/api/v1/namespaces/default/pods", headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def _until(self, status: int, what: str) -> None:
        deadline = time.monotonic() + CHANGE_SECONDS
        while (found := self._ask("", "infer"))[0] != status:
            if time.monotonic() > deadline:
                raise StepFailed(f"{what}: it still answers {found}")
            time.sleep(0.05)


_NOW = "{can: retrain, model: fraud-detector@v3, expect: allowed}"


def _widened(declaration: str) -> str:
    """The same, with the agent among those who may retrain v3."""
    before, mark, after = declaration.partition("- name: v3\n")
    return before + mark + after.replace("retraining: [", f"retraining: [agent/{AGENT}, ", 1)
