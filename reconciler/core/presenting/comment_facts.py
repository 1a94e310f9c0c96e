"""The few lines under the verdict, by which most people decide.

Separate from the sections below, which may be cut for length: these never are, but for a name that
is too long. The invariant: at most twelve, each with one fact, and none is left out because it is
unwelcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from reconciler.core.identifiers import ClusterName, CommitSha, short
from reconciler.core.plans import Action
from reconciler.core.presenting.impact import Amount, Impact, Risk, RolloutImpact
from reconciler.core.presenting.lines import plural
from reconciler.core.presenting.markdown import (
    Inline,
    Symbol,
    code,
    codes,
    joined,
    line,
    link,
    strong,
    symbol,
    text,
)
from reconciler.core.presenting.plan_view import PlanView
from reconciler.core.problems import Problem
from reconciler.core.quantities import duration_text

MOST_ROLLOUTS: Final = 2
MOST_SENTENCES: Final = 4


@dataclass(frozen=True, slots=True)
class Request:
    """What a comment needs to know of the change request besides its plan.

    `waits` says in words which approvals are still needed, and is None where nobody has looked;
    `approved` are those who gave one, `moved` is what is not as it was when somebody approved.
    `offline` is set where no cluster was asked, `fork` where a maintainer has to allow that.
    `problems` are warnings at files of the head. `url` is the page with the whole plan, empty where
    there is none. `answers` are replies to commands.
    """

    head: CommitSha
    base: CommitSha
    waits: tuple[str, ...] | None = None
    approved: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    url: str = ""
    offline: bool = False
    fork: bool = False
    answers: tuple[str, ...] = ()


def verdict(view: PlanView, impact: Impact, request: Request) -> Inline:
    """What merging does, in one line."""
    counts = counted(view)
    risk = f" · risk {impact.risk.name}"
    if view.refused:
        reasons = len(view.refusals) + sum(bool(b.excess) for b in view.budgets)
        words = f"Refused for {plural(reasons, 'reason')}: merging would apply nothing of it"
        return line(symbol(Symbol.BAD), words)
    if request.offline:
        sign = symbol(Symbol.WAITING if request.fork else Symbol.WARNING)
        declares = f"declares {counts}" if view.units else "both commits declare the same"
        return line(sign, f"No cluster was asked: {declares}{risk}")
    if view.unseen:
        unseen = joined(text(name) for name in view.unseen[:MOST_SENTENCES])
        return line(symbol(Symbol.WARNING), "Unknown in ", unseen, f" · elsewhere {counts}{risk}")
    if view.empty:
        where = plural(len(view.clusters), "cluster")
        return line(symbol(Symbol.GOOD), f"No changes: {where} as declared")
    if not view.clusters:
        return line(symbol(Symbol.WARNING), "Unknown: no cluster is concerned, so none was asked")
    sign = symbol(Symbol.WARNING) if impact.risk is Risk.HIGH else ()
    return line(sign, counts, " in ", plural(len(impact.clusters), "cluster"), risk)


def counted(view: PlanView) -> str:
    """What would be written, in plain text."""
    found = [
        f"{view.counts[action]:,} to {words}"
        for action, words in (
            (Action.DELETE, "delete"),
            (Action.REPLACE, "replace"),
            (Action.UPDATE, "change"),
            (Action.CREATE, "create"),
        )
        if view.counts.get(action)
    ]
    if recorded := sum(view.recorded.values()):
        found.append(f"{recorded:,} to record only")
    return " · ".join(found) or "nothing to write"


def facts(view: PlanView, impact: Impact, request: Request) -> Iterator[Inline]:
    """The lines, most important first."""
    if request.moved:
        moved = joined(text(name) for name in request.moved[:MOST_SENTENCES])
        yield line(strong("Approve again:"), " moved since the last approval: ", moved)
    if impact.reasons:
        yield line(strong(f"Risk {impact.risk.name}:"), " ", _reasons(impact))
    yield _touches(impact)
    yield from _rollouts(impact.rollouts)
    if capacity := _capacity(impact):
        yield capacity
    yield from _access(impact, given=view.widened)
    if apart := _apart(view, impact):
        yield line(strong("Not by this change:"), f" {apart}")
    if request.waits is not None:
        yield _approvals(request, request.waits)
    if request.fork:
        yield _fork(request)
    if not (view.refused or view.empty):
        yield _rollback(impact)
    yield _identity(view, request)


def _reasons(impact: Impact) -> Inline:
    words = [reason.words for reason in impact.reasons]
    more = f"; and {len(words) - MOST_SENTENCES} more" if len(words) > MOST_SENTENCES else ""
    return line("; ".join(words[:MOST_SENTENCES]) + more)


def _touches(impact: Impact) -> Inline:
    parts = [_named(impact.clusters, "cluster"), _named(impact.models, "model")]
    moved = [found for found in impact.rollouts if found.moves]
    parts += [
        line("all requests of ", code(found.model), ", in steps" if found.steps else " at once")
        for found in moved[:MOST_ROLLOUTS]
    ]
    if len(moved) > MOST_ROLLOUTS:
        parts.append(line(f"and of {plural(len(moved) - MOST_ROLLOUTS, 'more rollout')}"))
    if impact.restarts:
        names = codes(map(str, impact.restarts), most=MOST_SENTENCES)
        parts.append(line("restarts the pods of ", names))
    return line(strong("Touches:"), " ", joined(parts, " · "))


def _named(names: Iterable[str], word: str) -> Inline:
    listed = tuple(names)
    if not listed:
        return line(f"no {word}")
    return line(f"{plural(len(listed), word)} ", codes(listed, most=MOST_SENTENCES))


def _rollouts(rollouts: tuple[RolloutImpact, ...]) -> Iterator[Inline]:
    # Those that move the requests of a model come first.
    ordered = sorted(rollouts, key=lambda found: not found.moves)
    shown = ordered if len(ordered) <= MOST_ROLLOUTS else ordered[:1]
    for found in shown:
        yield line(strong("Rollout"), " ", code(found.rollout), ": ", *_way(found))
    if rest := ordered[len(shown) :]:
        names = codes((found.rollout for found in rest), most=MOST_SENTENCES)
        yield line(strong("Rollouts"), " ", names, " change as well")


def _way(found: RolloutImpact) -> Iterator[Inline]:
    if not found.after:
        yield line(f"{found.model} {found.before} would no longer run")
        return
    if not found.before:
        yield line(f"{found.model} {found.after} would run for the first time, at once")
        return
    version = f"{found.before} → {found.after}" if found.moves else f"{found.after}, another way"
    waves = f" in {plural(found.waves, 'wave')}" if found.waves > 1 else ""
    if not found.steps:
        yield line(f"{version}{waves}: all requests at once, no step and no gate")
        return
    yield line(f"{version}{waves}: {', then '.join(found.steps)}; ")
    if found.gates:
        yield line("judged by ", codes(found.gates), "; ")
    else:
        yield line("no gate judges it; ")
    yield line(f"if it fails, {_FAILING[found.on_failure]}")


_FAILING: Final = {
    "revert": "traffic goes back and the commit is reverted",
    "pull-request": "traffic goes back and a branch reverts the commit",
    "hold": "traffic goes back",
}


def _capacity(impact: Impact) -> Inline:
    if impact.before == impact.after == impact.during:
        return ()
    parts = [_amount(text("replicas"), impact.replicas)]
    parts += [_amount(code(name), found) for name, found in impact.devices[:MOST_SENTENCES]]
    return line(strong("Capacity:"), " ", joined(parts, " · "))


def _amount(name: Inline, amount: Amount) -> Inline:
    peak = max(amount.before, amount.after)
    during = f" (up to {amount.during:,} while both versions run)" if amount.during > peak else ""
    return line(name, f" {_difference(amount.before, amount.after)}{during}")


def _difference(before: int, after: int) -> str:
    return f"{after:,} as before" if before == after else f"{before:,} → {after:,}"


def _access(impact: Impact, *, given: int) -> Iterator[Inline]:
    if not impact.access and given:
        late = f" {plural(given, 'object')} to be written, though both commits declare the same"
        yield line(strong("Gains access:"), " by", late)
    elif not impact.access:
        yield line(strong("Access:"), " nobody gains or loses any")
    for gains, word in ((True, "Gains access:"), (False, "Loses access:")):
        found = [change for change in impact.access if change.gains is gains]
        if not found:
            continue
        told = joined((_sentence(c.who, c.what, c.clusters) for c in found[:MOST_SENTENCES]), "; ")
        more = f"; and {len(found) - MOST_SENTENCES} more" if len(found) > MOST_SENTENCES else ""
        yield line(strong(word), " ", told, more)


def _sentence(who: str, what: str, clusters: tuple[ClusterName, ...]) -> Inline:
    where = line(" in ", codes(clusters, most=MOST_SENTENCES)) if clusters else ()
    return line(text(who), ": ", text(what), where)


def _apart(view: PlanView, impact: Impact) -> str:
    """What is written although the commits do not differ in it."""
    told = []
    if view.drifted:
        is_put = "has drifted and is" if view.drifted == 1 else "have drifted and are"
        told.append(f"{plural(view.drifted, 'object')} {is_put} put back whatever is merged")
    if impact.late:
        is_written = "is" if impact.late == 1 else "are"
        told.append(
            f"{plural(impact.late, 'object')} {is_written} written, for a cluster is not yet as "
            "the base declares"
        )
    return "; ".join(told)


def _approvals(request: Request, waits: tuple[str, ...]) -> Inline:
    given = line("given by ", codes(request.approved)) if request.approved else ()
    if waits:
        told = "; ".join(waits[:MOST_SENTENCES])
        more = f"; and {len(waits) - MOST_SENTENCES} more" if len(waits) > MOST_SENTENCES else ""
        parts = [part for part in (given, line(f"still needed: {told}{more}")) if part]
        return line(strong("Approvals:"), " ", joined(parts, " · "))
    return line(strong("Approvals:"), " ", given or text("none needed by the policy in force"))


def _fork(request: Request) -> Inline:
    return line(
        strong("Maintainers:"),
        " this comes from a fork. Read it, then comment ",
        code("/fairlead plan"),
        f" to have clusters asked about {short(request.head)}, and about no later push",
    )


def _rollback(impact: Impact) -> Inline:
    command = code("fairlead revert COMMIT --pull-request")
    with_commit = ", with the commit that merging makes"
    warm = [
        (found.keep_warm, found.before)
        for found in impact.rollouts
        if found.moves and found.keep_warm
    ]
    if not warm:
        return line(strong("Rolls back by:"), " ", command, with_commit)
    kept, version = min(warm)
    return line(
        strong("Rolls back by:"),
        " ",
        command,
        f"{with_commit}; {version} stays loaded for {duration_text(kept)} after the last step, so "
        "that going back takes seconds",
    )


def _identity(view: PlanView, request: Request) -> Inline:
    if request.offline:
        both = f" {short(request.head)} with {short(request.base)}"
        return line(strong("Compared:"), both, _page(request))
    into = f" of {short(request.head)} merged into {short(request.base)}"
    return line(strong("Plan:"), " ", code(view.digest), into, _page(request))


def _page(request: Request) -> Inline:
    return line(" · ", link("whole plan", request.url)) if request.url else ()
