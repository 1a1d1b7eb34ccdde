"""`address`: a link has an address, or no link has it. Source: ip-address(8)."""

from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from typing import Annotated

from kubelab.language import Text
from kubelab.lessons.checks.check import Finding, Scope, check
from kubelab.lessons.checks.networks import is_address, is_network, network_of, refuse_address
from kubelab.lessons.checks.seen_from import SeenFrom
from kubelab.lessons.checks.subject import Subject, View
from kubelab.lessons.located import Node
from kubelab.lessons.observation import Address, Network, Observation


@dataclass(frozen=True, slots=True)
class IpAddress:
    """An address with its prefix length (`10.1.0.7/24`: exactly so) or without it; or any address in a
    network: `{in: 10.1.0.0/24}`."""

    exactly: str = ""
    within: str = ""

    @classmethod
    def read(cls, node: Node) -> "IpAddress":
        if isinstance(node.value, dict):
            inside = node.mapping().get("in", node)
            if not is_network(str(inside.value)) or len(node.mapping()) != 1:
                raise refuse_address(inside, "{in: 10.1.0.0/24}")
            return cls(within=inside.text())
        if not is_address(str(node.value)):
            raise refuse_address(node, "10.1.0.7/24")
        return cls(exactly=node.text())

    def matches(self, address: str) -> bool:
        known = ip_interface(address)
        if self.within:
            network = ip_network(self.within, strict=False)
            return known.version == network.version and known.ip in network
        wanted = ip_interface(self.exactly)
        return known == wanted if "/" in self.exactly else known.ip == wanted.ip

    def phrase(self) -> Text:
        if self.within:
            return Text(f"una dirección de {self.within}", f"an address in {self.within}")
        return Text(f"la dirección {self.exactly}", f"the address {self.exactly}")


@check
class AddressCheck(SeenFrom):
    """A link has the address, or none has it. Its value is the address, with its prefix length."""

    address: Annotated[IpAddress, "The address."]
    link: Annotated[str | None, "The link that has it; by default any."] = None
    of: Annotated[Subject, "In whose network; by default the machine's."] = Subject()
    machine: Annotated[str, "The machine that is looked at; by default the lesson's own."] = ""
    absent: Annotated[bool, "There must be none."] = False

    example = "{address: 10.9.0.2/24, link: eth0, of: {comm: bash}}"

    def value(self, observation: Observation, scope: Scope) -> str | None:
        found = self._find(network_of(self.views(observation, scope)[0]))
        return found[0].address if found else None

    def expected(self, scope: Scope) -> Text:
        place, phrase = self.place(scope), self.address.phrase()
        link = f" `{self.link}`" if self.link else ""
        if self.absent:
            return Text(
                f"{place.es}, ninguna interfaz{link} con {phrase.es}",
                f"{place.en}, no link{link} with {phrase.en}",
            )
        return Text(
            f"{place.es}, una interfaz{link} con {phrase.es}", f"{place.en}, a link{link} with {phrase.en}"
        )

    def judge_view(self, view: View, observation: Observation, scope: Scope) -> Finding:
        network = network_of(view)
        found = self._find(network)
        target = f" dev {self.link}" if self.link in [link.name for link in network.links] else ""
        look = view.command(f"ip address show{target}", "-n", "net")
        return self.finding(bool(found) != self.absent, scope, self._observed(found, network), look)

    def _find(self, network: Network) -> list[Address]:
        return [
            known
            for known in network.addresses
            if self.link in (None, known.link) and self.address.matches(known.address)
        ]

    def _observed(self, found: list[Address], network: Network) -> Text:
        if found:
            return _listed(found)
        if self.link is not None and self.link not in [link.name for link in network.links]:
            return Text(f"no hay interfaz `{self.link}`", f"there is no link `{self.link}`")
        others = [known for known in network.addresses if self.link in (None, known.link)]
        if not others:
            return Text("no hay ninguna dirección", "there is no address")
        text = _listed(others)
        return Text(f"no la hay; {text.es}", f"there is none; {text.en}")


def _listed(addresses: list[Address]) -> Text:
    es = ", ".join(f"`{known.link}` tiene {known.address}" for known in addresses)
    en = ", ".join(f"`{known.link}` has {known.address}" for known in addresses)
    return Text(es, en)
