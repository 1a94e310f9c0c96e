"""The command line: which commands there are, and how their errors are shown.

Separate from the commands, which are imported when they are called and not before. The
invariants: an expected failure is a message with what to do, and never a traceback; exit codes
are stable.

Exit codes: 0 success; 1 refused, failed or not as asked; 2 wrong usage or settings. A plan with
`--detailed-exitcode` has its own: see plan_command.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import click

from reconciler import __version__
from reconciler.core.errors import FairleadError, Misconfigured, Unavailable
from reconciler.core.problems import Problem, printable


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command is, what `fairlead --help` says of it, and what hands it its tools."""

    place: str
    summary: str
    tools: str = ""


COMMANDS: Mapping[str, Command] = {
    "validate": Command(
        "reconciler.surfaces.validate_command:validate_command",
        "Check a config repository, with no cluster.",
        "reconciler.wiring.validating:validate_tools",
    ),
    "plan": Command(
        "reconciler.surfaces.plan_command:plan_command",
        "Show what a commit would change in the clusters.",
        "reconciler.wiring.reading:plan_tools",
    ),
    "run": Command(
        "reconciler.surfaces.run_command:run_command",
        "Keep the clusters as the branch declares.",
        "reconciler.wiring.daemon:run_tools",
    ),
    "rights": Command(
        "reconciler.surfaces.rights_command:rights_command",
        "Print the rights that the daemon needs in a cluster.",
        "reconciler.wiring.people:rights_tools",
    ),
    "authorize": Command(
        "reconciler.surfaces.authorize_command:authorize_command",
        "Answer a gateway that asks who may call which model.",
        "reconciler.wiring.authorizing:authorize_tools",
    ),
    "status": Command(
        "reconciler.surfaces.status_command:status_command",
        "Show how the clusters stand.",
        "reconciler.wiring.reading:status_tools",
    ),
    "rollout": Command(
        "reconciler.surfaces.rollout_commands:rollout_group",
        "See where rollouts stand, and why they moved.",
        "reconciler.wiring.reading:rollout_tools",
    ),
    "revert": Command(
        "reconciler.surfaces.revert_command:revert_command",
        "Prepare the commit that undoes another one.",
        "reconciler.wiring.forges:revert_tools",
    ),
    "approve": Command(
        "reconciler.surfaces.approve_command:approve_command",
        "Sign that a commit may follow upon the one in force.",
        "reconciler.wiring.approving:approve_tools",
    ),
    "break-glass": Command(
        "reconciler.surfaces.break_glass_command:break_glass_command",
        "Ask for a role for an hour, because something is on fire.",
        "reconciler.wiring.approving:break_glass_tools",
    ),
    "access": Command(
        "reconciler.surfaces.access_commands:access_group",
        "See who may do what, and how it is enforced.",
        "reconciler.wiring.access:access_tools",
    ),
    "secrets": Command(
        "reconciler.surfaces.secrets_commands:secrets_group",
        "See what readers of secrets need in their stores.",
    ),
    "audit": Command(
        "reconciler.surfaces.audit_commands:audit_group",
        "Read, prove and verify the audit log.",
        "reconciler.wiring.tools:audit_tools",
    ),
    "schemas": Command(
        "reconciler.surfaces.schema_files:schemas_command",
        "Write the JSON Schemas of all kinds.",
    ),
    "sandbox": Command(
        "reconciler.sandbox.commands:sandbox_group",
        "A real Kubernetes API server on this machine.",
    ),
    "demo": Command(
        "reconciler.demo.command:demo_command",
        "See the main job done on real control planes, in about a minute.",
    ),
}


class CommandLine(click.Group):
    """The group of all commands. Importing one is left until it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  As click calls it.
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = COMMANDS.get(cmd_name)
        if known is None:
            return None
        command = _found(known.place)
        assert isinstance(command, click.Command)
        if known.tools and not ctx.resilient_parsing:
            make: Callable[[], object] = _found(known.tools)
            ctx.obj = make()
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])


def _found(place: str) -> Callable[..., object]:
    module, _, name = place.partition(":")
    found: Callable[..., object] = getattr(import_module(module), name)
    return found


@click.group("fairlead", cls=CommandLine, context_settings={"max_content_width": 100})
@click.version_option(__version__, prog_name="fairlead")
@click.option("--debug", is_flag=True, help="Show where in the program an error came from.")
def fairlead(*, debug: bool) -> None:
    """GitOps for AI infrastructure: Git is the only input that changes anything."""


def main(arguments: Sequence[str] | None = None, *, group: click.Group = fairlead) -> int:
    """Run a command of `group`; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given[: _position_of_command(given)]
    try:
        code = group.main(given, standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.Abort:
        click.echo("aborted", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except FairleadError as error:
        if debug:
            raise
        _show(error)
        return error.exit_code
    except OSError as error:
        # A full disk, a directory that cannot be made, a pipe that was closed: the world's failure.
        if debug:
            raise
        _show(Unavailable(str(error), hint="run it with `fairlead --debug` to see where"))
        return Unavailable.exit_code
    return code if isinstance(code, int) else 0


def _position_of_command(arguments: Sequence[str]) -> int:
    return next((n for n, a in enumerate(arguments) if not a.startswith("-")), len(arguments))


def _show(error: FairleadError) -> None:
    if isinstance(error, Misconfigured):
        for problem in error.problems:
            click.echo(_problem_line(problem), err=True)
    first, *more = f"fairlead: {error.code}: {error.message}".splitlines()
    for line in [first, *more, *(f"  {line}" for line in error.hint.splitlines())]:
        click.echo(printable(line, limit=2000), err=True)


def _problem_line(problem: Problem) -> str:
    hint = f"; {problem.hint}" if problem.hint else ""
    return f"{problem.location}: {problem.code}: {problem.message}{hint}"
