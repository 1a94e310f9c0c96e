"""Commands in comments: who asks, whether they may, and what is then offered in Git.

Separate from parsing, which knows no people, and from the loop. The invariants: a permission is
looked up when the command is read, and the forge's word alone counts; nothing is applied, merged or
approved here, for all that a command can do is to plan, to explain, or to open a pull request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from reconciler.core.approval_edits import StepApproval, with_approval
from reconciler.core.change_requests import Comment, Permission
from reconciler.core.commands import Command, CommandName, command_in
from reconciler.core.errors import FairleadError, Missing, Refused, Transient
from reconciler.core.identifiers import CommitSha, DocumentPath, short
from reconciler.core.kinds import Rollout
from reconciler.core.presenting.lines import plain_text
from reconciler.core.presenting.markdown import code, document, fence, heading, line, paragraph
from reconciler.core.presenting.rollout_text import rollout_lines
from reconciler.core.problems import printable
from reconciler.core.rollouts.demands import demand_of
from reconciler.core.rollouts.reporting import RolloutStatus
from reconciler.core.rollouts.states import Phase, RolloutState
from reconciler.engine.driving import Engine
from reconciler.engine.reviewing_cases import Case
from reconciler.engine.reviewing_presenting import Presenter, ReviewOptions
from reconciler.forge_ports import Forge, ProposedChanges, Proposer
from reconciler.ports import Clock, Publisher

log = structlog.get_logger()

LATEST = timedelta(hours=1)
"""A command that is older is not obeyed: whoever gave it has seen that nothing happened."""

NO_RIGHT = "the daemon has no right to push: set `reverts` in its settings"


@dataclass(frozen=True, slots=True)
class Obeyed:
    """What a command changed for its own pull request. `replan` asks for a new plan."""

    replan: bool = False


class Commander:
    """Obeys commands. Without `proposer` and `publisher` it may not write to Git."""

    def __init__(
        self,
        *,
        forge: Forge,
        presenter: Presenter,
        proposals: ProposedChanges,
        proposer: Proposer | None,
        publisher: Publisher | None,
        engine: Engine,
        statuses: Callable[[], Sequence[RolloutStatus]],
        clock: Clock,
        options: ReviewOptions,
    ) -> None:
        self._forge = forge
        self._presenter = presenter
        self._proposals = proposals
        self._proposer = proposer
        self._publisher = publisher
        self._engine = engine
        self._statuses = statuses
        self._clock = clock
        self._options = options
        self._login = ""

    async def attend(self, case: Case) -> Obeyed | None:
        """Read the comments that are new; None when there was no command among them."""
        self._login = self._login or await self._forge.whoami()
        found = await self._forge.comments(case.number, after=case.record.answered)
        obeyed = None
        for comment in found:
            # First: a command that ends this process must not end the next one as well.
            await self._presenter.keep(case, answered=comment.id)
            command = command_in(comment, ours=self._login)
            if command is None or self._is_late(comment):
                continue
            if await self._may(case, comment, command):
                made = await self._obey(case, comment, command)
                obeyed = Obeyed((obeyed is not None and obeyed.replan) or made.replan)
        return obeyed

    def _is_late(self, comment: Comment) -> bool:
        try:
            return self._clock.now() - datetime.fromisoformat(comment.at) > LATEST
        except (TypeError, ValueError):
            return True

    async def _may(self, case: Case, comment: Comment, command: Command) -> bool:
        """Strangers get no answer: a bot that answers everybody can be made to flood."""
        trusting = command.name is CommandName.PLAN and case.pull.fork
        needed = Permission.MAINTAIN if trusting else Permission.WRITE
        has = await self._forge.permission(comment.author)
        if has < needed:
            log.info("command.not_permitted", number=case.number, command=command.name.value)
        return has >= needed

    async def _obey(self, case: Case, comment: Comment, command: Command) -> Obeyed:
        log.info("command", number=case.number, command=str(command), by=comment.author)
        try:
            match command.name:
                case CommandName.PLAN:
                    return await self._plan(case, comment)
                case CommandName.APPROVE:
                    words = await self._approve(case, comment, command.argument)
                case CommandName.REVERT:
                    words = await self._revert(case, comment, command.argument)
                case CommandName.EXPLAIN:
                    await self._explain(case, command.argument)
                    return Obeyed()
        except Transient as error:
            words = f"not now: {error.message}; say it again later"
        except FairleadError as error:
            words = f"{error.message}; {error.hint}" if error.hint else error.message
        await self._answer(case, f"{command}, asked by {comment.author}: {words}")
        return Obeyed()

    async def _answer(self, case: Case, words: str) -> None:
        """In our one comment while that is kept up to date, else in one of its own."""
        if case.pull.open:
            self._presenter.answer(case, words)
        else:
            await self._presenter.say(case.number, document([paragraph(words)]))

    async def _plan(self, case: Case, comment: Comment) -> Obeyed:
        if not case.pull.fork:
            return Obeyed(replan=True)
        record = case.record
        pull = await self._forge.pull_request(case.number)
        known = record.key is not None and record.key.head == pull.head == case.pull.head
        if not known or not _after(comment.at, record.shown):
            # Whoever wrote that may have looked at an earlier push.
            words = "not yet: read the head as it is now, and say it again"
            await self._answer(case, f"/fairlead plan, asked by {comment.author}: {words}")
            return Obeyed()
        await self._presenter.keep(case, trusted=pull.head)
        words = f"{comment.author} let {short(pull.head)} be planned against the clusters"
        await self._answer(case, words)
        return Obeyed(replan=True)

    # Approving a step

    async def _approve(self, case: Case, comment: Comment, name: str) -> str:
        if self._proposer is None:
            return NO_RIGHT
        approval = self._waiting(case, comment.author, name)
        head = await self._proposals.fetch()
        path = self._path(approval.rollout)
        content = await self._content(head, path)
        changed = {path: with_approval(content, approval)}
        title = f"Approve step {approval.step} of {approval.rollout} for {approval.version}"
        asked = f"Asked for by {printable(comment.author, limit=100)} in #{case.number}, as"
        message = f"{title}\n\n{asked} {approval.by}.\n"
        await self._proposer.propose(approval.branch, changed, on=head, message=message)
        return await self._opened(
            approval.branch,
            title,
            paragraph(
                f"{comment.author} approves as {approval.by}. Merging it lets the rollout go"
            ).source,
        )

    def _waiting(self, case: Case, author: str, name: str) -> StepApproval:
        """The one approval that is waited for and that this person may give."""
        desired = self._engine.reconciler.accepted
        if desired is None:
            raise Refused("no commit is in force yet")
        states = self._engine.reconciler.positions.states()
        wanted = {name} if name else set(case.record.rollouts) or set(desired.rollouts)
        found = [
            (rollout, state, step)
            for rollout in desired.rollouts.values()
            if rollout.name in wanted and (state := states.get(rollout.name))
            if (step := _awaited_step(rollout, state))
        ]
        if len(found) != 1:
            names = ", ".join(rollout.name for rollout, _, _ in found)
            why = f"several wait: {names}" if found else "no rollout waits for an approval here"
            raise Refused(why, hint="name one: `/fairlead approve ROLLOUT`" if found else "")
        rollout, state, step = found[0]
        asked = rollout.spec.approvals_asked()[step]
        roles = desired.policy.approvals.roles_of(author)
        fitting = [role for role in asked if role in roles]
        if not fitting:
            raise Refused(
                f"step {step} of {rollout.name} is approved by {' or '.join(asked)}",
                hint="spec.approvals.people of fairlead.yaml says who that is",
            )
        assert state.candidate is not None, "a rollout that waits is on its way"
        return StepApproval(rollout.name, state.candidate.version, step, fitting[0])

    def _path(self, rollout: str) -> DocumentPath:
        desired = self._engine.reconciler.accepted
        assert desired is not None, "it was looked at before"
        for _, unit in desired.places_of(rollout):
            for manifest in unit.manifests.values():
                return manifest.source.path
        raise Missing(f"rollout {rollout} declares nothing in any cluster")

    async def _content(self, head: CommitSha, path: DocumentPath) -> bytes:
        entries = (await self._proposals.difference(None, head)).changed
        blobs = [entry.blob for entry in entries if entry.path == path]
        if not blobs:
            raise Missing(f"the branch has no file {printable(path)} any more")
        return (await self._proposals.read(blobs))[blobs[0]]

    # Reverting

    async def _revert(self, case: Case, comment: Comment, revision: str) -> str:
        if self._publisher is None:
            return NO_RIGHT
        sha = None if revision else case.record.merged or case.pull.merged
        if sha is None and not revision:
            return "this was not merged; name the commit: `/fairlead revert SHA`"
        head = await self._proposals.fetch()
        commit = await self._proposals.commit(sha or revision)
        who = printable(comment.author, limit=100)
        reason = f"Asked for by {who} in pull request {case.number}."
        branch = await self._publisher.push_revert_branch(commit.sha, reason=reason)
        if branch == self._options.branch:
            return f"{short(commit.sha)} is undone on {branch} already, at or before {short(head)}"
        title = f'Revert "{printable(commit.subject, limit=150)}"'
        told = f"It undoes {commit.sha}. The plan below shows what that changes."
        return await self._opened(branch, title, paragraph(told).source)

    async def _opened(self, branch: str, title: str, body: str) -> str:
        number = await self._forge.open_pull_request(
            branch=branch, base=self._options.branch, title=title, body=body
        )
        return f"see pull request {number}, and merge it"

    # Explaining

    async def _explain(self, case: Case, name: str) -> None:
        wanted = {name} if name else set(case.record.rollouts)
        known = [status for status in self._statuses() if not wanted or status.rollout in wanted]
        blocks = [heading(4, "Rollouts as they stand now")]
        for status in known[:10]:
            blocks.append(fence(plain_text(rollout_lines(status)).splitlines()))
        if not known:
            blocks.append(paragraph("There is no such rollout in force."))
        for status in known[:1]:
            words = code(f"fairlead rollout explain {status.rollout}")
            blocks.append(paragraph(line("Every number: ", words)))
        await self._presenter.say(case.number, document(blocks))


def _awaited_step(rollout: Rollout, state: RolloutState) -> int | None:
    """The number of the step whose approval is waited for."""
    if state.candidate is None or state.phase is not Phase.STEPPING:
        return None
    demand = demand_of(state.step, rollout.spec)
    if not demand.approval or state.approved_step == demand.number:
        return None
    return demand.number


def _after(at: str, shown: str) -> bool:
    try:
        return datetime.fromisoformat(at) >= datetime.fromisoformat(shown)
    except (TypeError, ValueError):
        return False
