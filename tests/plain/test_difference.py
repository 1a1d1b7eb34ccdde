"""What changed is told machine by machine, kind by kind, and every sign is a word."""

from kubelab.language import Text
from kubelab.lessons.change import About, Change, Sign
from kubelab.plain.difference import ALL, difference_sentences


def change(sign: Sign, about: About, place: str, what: str) -> Change:
    return Change(sign, about, place, Text(what, what))


def said(*changes: Change, language: str = "en", kind: str = "") -> list[str]:
    return [text.es if language == "es" else text.en for text in difference_sentences(changes, kind)]


CHANGES = (
    change(Sign.NEW, About.ROUTE, "lab", "10.0.0.0/24 dev veth0"),
    change(Sign.NEW, About.PROCESS, "lab", "18 bash"),
    change(Sign.NEW, About.OBJECT, "", "pod luna"),
    change(Sign.OTHER, About.CGROUP, "lab", "memory.max of demo: max → 33554432"),
    change(Sign.GONE, About.PROCESS, "lab", "12 sleep 100"),
)


def test_changes_are_grouped_by_machine_and_kind() -> None:
    assert said(*CHANGES) == [
        "Different on lab:",
        "Process, new: 18 bash",
        "Process, gone: 12 sleep 100",
        "Cgroup, changed: memory.max of demo: max, now 33554432",
        "Route, new: 10.0.0.0/24 dev veth0",
        "Different in the cluster:",
        "Object, new: pod luna",
    ]


def test_in_spanish_the_word_agrees_with_what_it_is_about() -> None:
    assert said(*CHANGES[:2], language="es")[1:] == [
        "Proceso, nuevo: 18 bash",
        "Ruta, nueva: 10.0.0.0/24 dev veth0",
    ]


def test_nothing_changed_is_said() -> None:
    assert said() == ["Nothing is different since the step began."]
    assert said(*CHANGES, kind="mount") == ["Nothing of that kind is different since the step began."]


def test_the_apps_signs_are_said_in_words() -> None:
    zombie = change(Sign.OTHER, About.PROCESS, "lab", "18 sleep: zombie: – → ✓")
    assert said(zombie)[1] == "Process, changed: 18 sleep: zombie: nothing, now yes"


def test_of_many_alike_the_first_are_told_and_the_others_on_demand() -> None:
    mounts = [change(Sign.NEW, About.MOUNT, "lab", f"/{number}") for number in range(5)]
    process = change(Sign.NEW, About.PROCESS, "lab", "18 bash")
    assert said(process, *mounts)[2:] == [
        "Mount, new: /0",
        "Mount, new: /1",
        "Mount, new: /2",
        "Mount, new: and more; :changed mount tells all.",
    ]
    assert said(process, *mounts, kind="mount")[1:] == [f"Mount, new: /{number}" for number in range(5)]
    assert len(said(process, *mounts, kind=ALL)) == 1 + 1 + 5


def test_long_identifiers_are_cut() -> None:
    pod = "kubepods/podbe3d58d1-7586-47d9-987b-0409573f4e5d/" + "ab3a4b284834" + "0" * 52
    assert said(change(Sign.NEW, About.CGROUP, "lab", pod))[1] == (
        "Cgroup, new: kubepods/podbe3d58d1/ab3a4b284834"
    )


def test_every_kind_and_sign_has_its_words() -> None:
    for about in About:
        for sign in Sign:
            assert len(said(change(sign, about, "lab", "x"))) == 2
