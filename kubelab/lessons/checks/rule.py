"""`nft-rule`: a rule of nftables is there, or is not, in the network that somebody is in.

Source: nft(8). A rule is told by parts of its text as `nft list ruleset` has it, in which nft's own spelling
counts: `masquerade`, `tcp dport 80`, `dnat to 10.1.0.7:8080`.
Left out: rules of the older iptables interface (iptables-legacy), which nftables does not list.
"""

from typing import Annotated

from kubelab.language import Text
from kubelab.lessons.checks.check import CannotSee, Finding, Scope, check
from kubelab.lessons.checks.networks import network_of
from kubelab.lessons.checks.seen_from import SeenFrom
from kubelab.lessons.checks.subject import Subject, View
from kubelab.lessons.compare import Comparison
from kubelab.lessons.observation import Network, Observation, Rule, Unseen

SHOWN_MAX = 3


@check
class RuleCheck(SeenFrom):
    """A rule of nftables whose text has all these parts is there, or none is, or so many are. Its value is
    how many there are."""

    nft_rule: Annotated[tuple[str, ...], "Parts of the rule's text, as `nft list ruleset` has it."]
    family: Annotated[str | None, "The family of its table: ip, ip6, inet, bridge, …"] = None
    table: Annotated[str | None, "The name of its table."] = None
    chain: Annotated[str | None, "The name of its chain."] = None
    of: Annotated[Subject, "In whose network; by default the machine's."] = Subject()
    machine: Annotated[str, "The machine that is looked at; by default the lesson's own."] = ""
    absent: Annotated[bool, "There must be none."] = False
    count: Annotated[Comparison | None, "How many there must be; by default at least one."] = None

    example = "{nft-rule: [ip saddr 10.9.0.0/24, masquerade], table: nat}"

    def value(self, observation: Observation, scope: Scope) -> int:
        return len(self._find(_rules(network_of(self.views(observation, scope)[0]))))

    def expected(self, scope: Scope) -> Text:
        place, where = self.place(scope), self._where()
        parts = ", ".join(f"`{part}`" for part in self.nft_rule)
        if self.absent:
            return Text(
                f"{place.es}, ninguna regla de nft{where.es} con {parts}",
                f"{place.en}, no nft rule{where.en} with {parts}",
            )
        asked = self.count.phrase() if self.count else Text("", "")
        es, en = (f": cantidad {asked.es}", f": a number {asked.en}") if self.count else ("", "")
        return Text(
            f"{place.es}, una regla de nft{where.es} con {parts}{es}",
            f"{place.en}, an nft rule{where.en} with {parts}{en}",
        )

    def judge_view(self, view: View, observation: Observation, scope: Scope) -> Finding:
        rules = _rules(network_of(view))
        found = self._find(rules)
        passed = self.count.holds(len(found)) if self.count else bool(found) != self.absent
        nearest = found or [rule for rule in rules if self._is_in_place(rule)]
        look = view.command("nft list ruleset", "-n", "net")
        return self.finding(passed, scope, _listed(nearest, bool(found)), look)

    def _find(self, rules: tuple[Rule, ...]) -> list[Rule]:
        return [rule for rule in rules if self._is_in_place(rule) and self._has_parts(rule)]

    def _is_in_place(self, rule: Rule) -> bool:
        wanted = (self.family, rule.family), (self.table, rule.table), (self.chain, rule.chain)
        return all(name in (None, known) for name, known in wanted)

    def _has_parts(self, rule: Rule) -> bool:
        text = " ".join(rule.text.split())
        return all(" ".join(part.split()) in text for part in self.nft_rule)

    def _where(self) -> Text:
        table = " ".join(name for name in (self.family, self.table) if name)
        es = (f" en la tabla {table}" if table else "") + (f", cadena {self.chain}" if self.chain else "")
        en = (f" in table {table}" if table else "") + (f", chain {self.chain}" if self.chain else "")
        return Text(es, en)


def _rules(network: Network) -> tuple[Rule, ...]:
    """Raises CannotSee."""
    if isinstance(network.rules, Unseen):
        raise CannotSee(network.rules.reason)
    return network.rules


def _listed(rules: list[Rule], found: bool) -> Text:
    texts = [f"{rule.table} {rule.chain}: {rule.text}" for rule in rules[:SHOWN_MAX]]
    more = len(rules) - len(texts)
    es = "; ".join(texts) + (f"; y {more} más" if more > 0 else "")
    en = "; ".join(texts) + (f"; and {more} more" if more > 0 else "")
    if found:
        return Text(es, en)
    if not rules:
        return Text("no hay ninguna", "there is none")
    return Text(f"no la hay; ahí hay: {es}", f"there is none; what there is: {en}")
