"""The table of roles is what members walk, what is drawn, and what docs/raft.md shows."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from raft_simulation import World

from kubelab.cli.docs import docs
from kubelab.cluster.raft import raft as raft_module
from kubelab.cluster.raft.diagram import document
from kubelab.cluster.raft.states import TABLE, TRANSITIONS, Event, ImpossibleTransitionError, Role, next_role
from kubelab.language import LANGUAGES

PAGE = Path(__file__).parents[2] / "docs/raft.md"


def test_the_page_is_drawn_from_the_table() -> None:
    assert PAGE.read_text() == document("en"), "run: kubelab docs raft > docs/raft.md"


def test_kubelab_docs_raft_prints_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBELAB_LANG", "es")
    assert CliRunner().invoke(docs, ["raft"]).output == document("es")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_transition_is_drawn(language: str) -> None:
    page = document(language)  # type: ignore[arg-type]
    for transition in TABLE:
        assert page.count(transition.event.value.in_(language)) >= 2  # type: ignore[arg-type]


def test_nothing_is_in_the_table_twice() -> None:
    assert len(TRANSITIONS) == len(TABLE)


def test_a_follower_cannot_win_an_election() -> None:
    with pytest.raises(ImpossibleTransitionError, match="a follower cannot meet VOTE_WON"):
        next_role(Role.FOLLOWER, Event.VOTE_WON)


def test_simulated_members_walk_nearly_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that nobody walks would be a drawing only."""
    walked = set()

    def note(role: Role, event: Event) -> Role:
        walked.add((role, event))
        return next_role(role, event)

    monkeypatch.setattr(raft_module, "next_role", note)
    for seed in range(12):
        World(seed).run()
    assert len(set(TRANSITIONS) - walked) <= 4
