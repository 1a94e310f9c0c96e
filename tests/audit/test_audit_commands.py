"""`fairlead audit`, as people and programs use it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from audit.builders import SIGNER, VKEY, a_log, decision, intent
from reconciler.adapters.audit_anchor_git import GitAnchor
from reconciler.adapters.audit_commits_git import commits_in
from reconciler.adapters.state_sql import open_state, open_state_for_reading
from reconciler.core.audit.proofs import Proof, verify_proof
from reconciler.core.audit.records import AuditRecord
from reconciler.core.audit.verification import Anchor
from reconciler.core.errors import Missing
from reconciler.core.identifiers import ClusterName, CommitSha
from reconciler.engine.checkpointing import Checkpointer
from reconciler.surfaces.audit_commands import audit_group
from reconciler.surfaces.audit_reading import AuditTools

HOSTILE = "eve\x1b[2J\u202egnp.exe\n"


async def read_anchors(path: Path) -> Sequence[Anchor]:
    anchor = GitAnchor(path)
    try:
        return await anchor.anchors()
    finally:
        anchor.close()


def places(config: Path) -> tuple[str, Path]:
    """Settings of the plainest form: everything beside them."""
    return str(config.parent / "state.db"), config.parent / "audit.vkey"


TOOLS = AuditTools(open_state_for_reading, read_anchors, commits_in, places)


def written(path: Path, records: Sequence[AuditRecord], *, unsigned: int = 0) -> str:
    async def write() -> None:
        store, anchor = await open_state(str(path)), GitAnchor(path.with_suffix(".git"))
        await store.append(records)
        await Checkpointer(store, SIGNER, anchor).publish()
        await store.append([decision(1000 + number) for number in range(unsigned)])
        anchor.close()
        await store.close()

    asyncio.run(write())
    return str(path)


@pytest.fixture
def state(tmp_path: Path) -> str:
    return written(tmp_path / "state.db", a_log(30))


Run = Callable[..., Result]


@pytest.fixture
def run(state: str) -> Run:
    def invoke(*arguments: str) -> Result:
        environment = {"FAIRLEAD_STATE_URL": state, "FAIRLEAD_AUDIT_VKEY": VKEY}
        return CliRunner(env=environment).invoke(audit_group, arguments, obj=TOOLS)

    return invoke


def indices(result: Result) -> list[int]:
    assert result.exit_code == 0, result.output
    return [record["index"] for record in json.loads(result.stdout)["records"]]


def test_the_settings_of_the_daemon_name_database_and_key(state: str, tmp_path: Path) -> None:
    (tmp_path / "audit.vkey").write_text(f"{VKEY}\n")
    config = str(tmp_path / "settings.yaml")
    result = CliRunner().invoke(audit_group, ["verify", "--config", config], obj=TOOLS)
    assert result.exit_code == 0, result.output


def test_settings_of_the_daemon_in_this_directory_are_found(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "audit.vkey").write_text(f"{VKEY}\n")
    (tmp_path / "fairlead-settings.yaml").touch()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(audit_group, ["verify"], obj=TOOLS)
    assert result.exit_code == 0, result.output


def test_list_shows_the_newest_records_oldest_of_them_first(run: Run) -> None:
    assert indices(run("list", "--limit", "3", "--json")) == [27, 28, 29]


def test_list_is_a_table_for_people(run: Run) -> None:
    header, *rows = run("list", "--limit", "2").stdout.splitlines()
    assert header.split() == [
        "INDEX",
        "TIME",
        "COMMIT",
        "CLUSTER",
        "VERB",
        "PHASE",
        "RESULT",
        "OBJECT",
    ]
    assert rows[1].split() == [
        "29",
        "2027-01-31",
        "12:00:29",
        "cccccccccc",
        "edge-1",
        "apply",
        "intent",
        "Deployment.apps/team-risk/fraud",
    ]


def test_list_of_an_empty_log_is_its_header(tmp_path: Path) -> None:
    place = written(tmp_path / "empty.db", [])
    result = CliRunner().invoke(audit_group, ["list", "--state", place], obj=TOOLS)
    assert result.stdout.startswith("INDEX")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--commit", "dddd"], [1]),
        (["--cluster", "edge-2"], [2]),
        (["--object", "team-risk/fraud"], [1, 2, 3]),
        (["--verb", "accept-commit"], [0]),
        (["--since", "2027-01-31T12:00:02Z"], [2, 3]),
        (["--since", "2027-01-31T14:00:02+02:00"], [2, 3]),
        (["--cluster", "edge-1", "--limit", "1"], [3]),
        (["--cluster", "elsewhere"], []),
    ],
)
def test_list_filters(tmp_path: Path, options: list[str], expected: list[int]) -> None:
    records = [
        decision(0),
        intent(1, commit=CommitSha("d" * 40)),
        intent(2, cluster=ClusterName("edge-2")),
        intent(3),
    ]
    place = written(tmp_path / "other.db", records)
    arguments = ["list", "--state", place, "--json", *options]
    assert indices(CliRunner().invoke(audit_group, arguments, obj=TOOLS)) == expected


def test_list_since_an_age(run: Run) -> None:
    assert indices(run("list", "--since", "2h", "--json")) in ([], list(range(30)))
    assert run("list", "--since", "yesterday").exit_code == 2


def test_show_says_everything(run: Run) -> None:
    shown = run("show", "3").stdout
    assert "intent      1" in shown
    assert "Deployment.apps/team-risk/fraud" in shown
    assert json.loads(run("show", "3", "--json").stdout)["intent"] == 1


def test_show_of_no_record_says_how_many_there_are(run: Run) -> None:
    failed = run("show", "30").exception
    assert isinstance(failed, Missing)
    assert "30 records" in str(failed)


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("command", [["list"], ["show", "0"]])
def test_nothing_in_a_record_can_act_on_a_terminal(
    tmp_path: Path, command: list[str], form: list[str]
) -> None:
    record = intent(actor=HOSTILE, result=HOSTILE, repository=HOSTILE, detail={HOSTILE: [HOSTILE]})
    place = written(tmp_path / "hostile.db", [record])
    arguments = [*command, *form, "--state", place]
    output = CliRunner().invoke(audit_group, arguments, obj=TOOLS).stdout
    assert "eve" in output or "accept" in output
    assert not {"\x1b", "\u202e"} & set(output)


def test_prove_prints_a_proof_that_convinces_with_the_key_alone(run: Run) -> None:
    proof = Proof.parse(run("prove", "17").stdout)
    assert verify_proof(proof, leaf=proof.extra, verifiers=[SIGNER.verifier]).size == 30
    assert json.loads(proof.extra)["time"] == "2027-01-31T12:00:17.000000Z"
    assert Proof.parse(json.loads(run("prove", "17", "--json").stdout)["proof"]) == proof


def test_prove_of_a_record_that_is_not_signed_yet_says_so(tmp_path: Path) -> None:
    place = written(tmp_path / "growing.db", a_log(5), unsigned=2)
    arguments = ["prove", "6", "--state", place]
    failed = CliRunner().invoke(audit_group, arguments, obj=TOOLS).exception
    assert isinstance(failed, Missing)
    assert "covers 5 records" in str(failed)


def test_an_export_verifies_without_the_database(run: Run, state: str, tmp_path: Path) -> None:
    assert run("export", str(tmp_path / "export")).exit_code == 0
    Path(state).unlink()
    verified = run("verify", str(tmp_path / "export"))
    assert verified.exit_code == 0
    assert "30 records" in verified.stdout
    assert verified.stdout.endswith("verified\n")


def test_a_changed_export_fails_and_says_which_record(run: Run, tmp_path: Path) -> None:
    run("export", str(tmp_path / "export"))
    path = tmp_path / "export/tile/entries/000.p/30"
    path.write_bytes(path.read_bytes().replace(b"12:00:17", b"12:00:18"))
    verified = run("verify", str(tmp_path / "export"))
    assert verified.exit_code == 1
    assert "changed: record 17 is not what was logged" in verified.stdout
    assert "NOT verified" in verified.stdout
    found = json.loads(run("verify", str(tmp_path / "export"), "--json").stdout)
    assert found["passed"] is False
    assert {"code": "changed", "message": "record 17 is not what was logged", "index": 17} in found[
        "findings"
    ]


def test_the_key_in_an_export_is_used_only_with_a_word_about_it(run: Run, tmp_path: Path) -> None:
    run("export", str(tmp_path / "export"))
    result = CliRunner().invoke(audit_group, ["verify", str(tmp_path / "export")], obj=TOOLS)
    assert result.exit_code == 0
    assert VKEY in result.stderr


def test_a_key_can_be_named_by_its_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "vkey").write_text(f"{VKEY}\n")
    assert run("verify", "--vkey", str(tmp_path / "vkey")).exit_code == 0
    assert run("verify", "--vkey", str(tmp_path / "nothing")).exit_code == 2


def test_a_database_verifies_and_names_open_intents_and_unsigned_records(tmp_path: Path) -> None:
    place = written(tmp_path / "growing.db", a_log(30), unsigned=2)
    arguments = ["verify", place, "--vkey", VKEY]
    result = CliRunner().invoke(audit_group, arguments, obj=TOOLS)
    assert result.exit_code == 0, result.output
    assert "2 newest records are not signed yet" in result.stdout
    assert "1 intents have no outcome yet: 29" in result.stdout


def test_a_database_is_not_verified_without_a_key(state: str) -> None:
    result = CliRunner().invoke(audit_group, ["verify", state], obj=TOOLS)
    assert result.exit_code == 2


def test_a_changed_database_fails(run: Run, state: str) -> None:
    import sqlite3

    with sqlite3.connect(state) as connection:
        connection.execute("DROP TRIGGER audit_leaf_update")
        connection.execute("UPDATE audit_leaf SET content = CAST('{}' AS BLOB) WHERE idx = 4")
    connection.close()
    verified = run("verify")
    assert verified.exit_code == 1
    assert "record 4 is not what was logged" in verified.stdout


def test_anchors_that_go_further_than_the_log_fail_it(run: Run, state: str, tmp_path: Path) -> None:
    anchors = str(Path(state).with_suffix(".git"))
    assert run("verify", "--anchors", anchors).exit_code == 0
    shorter = written(tmp_path / "shorter.db", a_log(10))
    verified = run("verify", shorter, "--anchors", anchors)
    assert verified.exit_code == 1
    assert "at least 20 were removed" in verified.stdout


def test_commits_can_be_looked_up(run: Run, tmp_path: Path) -> None:
    import pygit2

    pygit2.init_repository(str(tmp_path / "config.git"), bare=True)
    verified = run("verify", "--repository", str(tmp_path / "config.git"))
    assert verified.exit_code == 1
    assert "which the repository lacks" in verified.stdout


def test_a_state_that_is_not_there_is_named(tmp_path: Path) -> None:
    arguments = ["list", "--state", str(tmp_path / "nothing.db")]
    failed = CliRunner().invoke(audit_group, arguments, obj=TOOLS).exception
    assert isinstance(failed, Missing)
    assert "nothing.db" in str(failed)
