"""`link`: a network interface is there, or is not, with these properties, in the network that somebody is in.

Source: ip-link(8), rtnetlink(7), network_namespaces(7). A link that was moved is seen in the network where it
is now, and no more in the one where it was made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from kubelab.language import Text
from kubelab.lessons.checks.check import Finding, Scope, check
from kubelab.lessons.checks.networks import network_of
from kubelab.lessons.checks.seen_from import SeenFrom
from kubelab.lessons.checks.subject import Subject, View
from kubelab.lessons.compare import Comparison
from kubelab.lessons.located import Node
from kubelab.lessons.observation import Link, Network, Observation
from kubelab.lessons.schema import read_fields

LinkField = Literal["name", "kind", "state", "carrier", "mtu", "mac", "master", "count"]


@dataclass(frozen=True, slots=True)
class LinkSelector:
    """Which link: its name, or a mapping of these, all of which hold of it."""

    name: Annotated[str | None, "Its name."] = None
    kind: Annotated[str | None, "Its kind: veth, bridge, dummy, vxlan, …"] = None

    @classmethod
    def read(cls, node: Node) -> "LinkSelector":
        if isinstance(node.value, dict):
            return read_fields(cls, node, node.mapping())
        return cls(name=node.text())

    def find(self, network: Network) -> list[Link]:
        return [link for link in network.links if self._matches(link)]

    def phrase(self) -> Text:
        kind, name = self.kind or "", f" `{self.name}`" if self.name else ""
        return Text(f"interfaz {kind}".rstrip() + name, f"{kind} link".lstrip() + name)

    def _matches(self, link: Link) -> bool:
        return self.name in (None, link.name) and self.kind in (None, link.kind)


@dataclass(frozen=True, slots=True)
class _Wish:
    """One thing that is asked of a link; `name` is as `field` has it."""

    name: str
    phrase: Text
    holds: Callable[[Link], bool]


DEFAULT_FIELD: LinkField = "state"

_FIELDS: Mapping[str, Callable[[Link], Any]] = {
    "name": lambda link: link.name,
    "kind": lambda link: link.kind,
    "state": lambda link: "up" if link.up else "down",
    "carrier": lambda link: "yes" if link.carrier else "no",
    "mtu": lambda link: link.mtu_bytes,
    "mac": lambda link: link.mac,
    "master": lambda link: link.master or None,
}
_SHOWN: Mapping[str, Text] = {
    "state": Text("está {0}", "it is {0}"),
    "carrier": Text("portadora: {0}", "carrier: {0}"),
    "mtu": Text("su MTU es {0}", "its MTU is {0}"),
    "mac": Text("su MAC es {0}", "its MAC is {0}"),
    "master": Text("su puente (master): {0}", "its master: {0}"),
    "kind": Text("su tipo es {0}", "its kind is {0}"),
    "name": Text("se llama {0}", "its name is {0}"),
}
_COUNT = {"count": "cantidad"}


@check
class LinkCheck(Comparison, SeenFrom):
    """A network link is there with these properties, or is not there; or what `field` names of it compares as
    the comparison's keys (below) say."""

    link: Annotated[LinkSelector, "Which link: its name, or `{kind: veth}`."]
    of: Annotated[Subject, "In whose network; by default the machine's."] = Subject()
    machine: Annotated[str, "The machine that is looked at; by default the lesson's own."] = ""
    absent: Annotated[bool, "There must be none."] = False
    kind: Annotated[str | None, "Its kind: veth, bridge, dummy, vxlan, …"] = None
    up: Annotated[bool | None, "It is set up; `false`: it is set down."] = None
    carrier: Annotated[bool | None, "A cable is plugged in and its other end is up; `false`: not."] = None
    mtu: Annotated[int | None, "Its MTU in bytes."] = None
    master: Annotated[str | None, "The bridge that it is a port of; `none`: of none."] = None
    mac: Annotated[str | None, "Its MAC address."] = None
    field: Annotated[
        LinkField | None,
        "What of it is compared, and its value (by default `state`); `count`: how many there are.",
    ] = None

    example = "{link: eth0, of: {comm: bash}, up: true, mtu: 1400}"

    def value(self, observation: Observation, scope: Scope) -> Any:
        found = self.link.find(network_of(self.views(observation, scope)[0]))
        if self.field == "count":
            return len(found)
        return _FIELDS[self.field or DEFAULT_FIELD](found[0]) if found else None

    def expected(self, scope: Scope) -> Text:
        place, noun = self.place(scope), self.link.phrase()
        if self.absent:
            return Text(f"{place.es}, ninguna {noun.es}", f"{place.en}, no {noun.en}")
        phrases = [wish.phrase for wish in self._wishes()]
        es = "".join(f", {phrase.es}" for phrase in phrases)
        en = "".join(f", {phrase.en}" for phrase in phrases)
        article = "an" if noun.en[0] in "aeiou" else "a"
        return Text(f"{place.es}, una {noun.es}{es}", f"{place.en}, {article} {noun.en}{en}")

    def judge_view(self, view: View, observation: Observation, scope: Scope) -> Finding:
        network = network_of(view)
        found = self.link.find(network)
        look = view.command("ip -d link show", "-n", "net")
        if self.field == "count":
            counted = Text(f"hay {len(found)}", f"there are {len(found)}")
            return self.finding(self.holds(len(found)), scope, counted, look)
        if not found or self.absent:
            return self.finding(self.absent and not found, scope, _present(found, network), look)
        misses = [(link, [wish for wish in self._wishes() if not wish.holds(link)]) for link in found]
        link, missed = min(misses, key=lambda miss: len(miss[1]))
        look = view.command(f"ip -d link show {link.name}", "-n", "net")
        return self.finding(not missed, scope, _described(link, [wish.name for wish in missed]), look)

    def _wishes(self) -> list[_Wish]:
        wishes = [
            _equal("kind", self.kind, Text("de tipo {0}", "of kind {0}")),
            _flag("state", self.up, Text("levantada (up)", "up"), Text("caída (down)", "down")),
            _flag(
                "carrier",
                self.carrier,
                Text("con portadora", "with carrier"),
                Text("sin portadora", "no carrier"),
            ),
            _equal("mtu", self.mtu, Text("MTU {0}", "MTU {0}")),
            _equal("mac", self.mac.lower() if self.mac else None, Text("MAC {0}", "MAC {0}")),
            self._master_wish(),
            self._comparison_wish(),
        ]
        return [wish for wish in wishes if wish is not None]

    def _master_wish(self) -> _Wish | None:
        if self.master == "none":
            free = Text("fuera de todo puente", "a port of no bridge")
            return _Wish("master", free, lambda link: not link.master)
        return _equal("master", self.master, Text("puerto del puente {0}", "a port of bridge {0}"))

    def _comparison_wish(self) -> _Wish | None:
        if not self.asked():
            return None
        name, asked = self.field or DEFAULT_FIELD, self.phrase()
        phrase = Text(f"{_COUNT.get(name, name)} {asked.es}", f"{name} {asked.en}")
        return _Wish(name, phrase, lambda link: self.holds(_FIELDS[name](link)))


def _equal(name: str, wanted: str | int | None, phrase: Text) -> _Wish | None:
    if wanted is None:
        return None
    return _Wish(
        name,
        Text(phrase.es.format(wanted), phrase.en.format(wanted)),
        lambda link: bool(_FIELDS[name](link) == wanted),
    )


def _flag(name: str, wanted: bool | None, on: Text, off: Text) -> _Wish | None:
    if wanted is None:
        return None
    return _Wish(name, on if wanted else off, lambda link: (_FIELDS[name](link) in ("up", "yes")) is wanted)


def _present(found: list[Link], network: Network) -> Text:
    names = ", ".join(f"`{link.name}`" for link in found or network.links)
    if found:
        return Text(f"ahí está {names}", f"there is {names}")
    return Text(f"no la hay; hay: {names or '-'}", f"there is none; there are: {names or '-'}")


def _described(link: Link, names: list[str]) -> Text:
    shown = names or ["state", "mtu"]
    values = [_FIELDS[name](link) for name in shown]
    es = "; ".join(_SHOWN[name].es.format(_spanish(value)) for name, value in zip(shown, values, strict=True))
    en = "; ".join(
        _SHOWN[name].en.format("-" if value is None else value)
        for name, value in zip(shown, values, strict=True)
    )
    return Text(f"`{link.name}`: {es}", f"`{link.name}`: {en}")


def _spanish(value: Any) -> str:
    return {"yes": "sí", "no": "no", None: "-"}.get(value, str(value))
