"""`route`: packets to a destination go this way, or there is no such route.

Source: ip-route(8). Left out: routing tables other than the main one, metrics, multipath.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated

from kubelab.language import Text
from kubelab.lessons.checks.check import Finding, Scope, check
from kubelab.lessons.checks.networks import DEFAULT, destination, is_network, network_of, refuse_address
from kubelab.lessons.checks.seen_from import SeenFrom
from kubelab.lessons.checks.subject import Subject, View
from kubelab.lessons.located import Node
from kubelab.lessons.observation import Network, Observation, Route


@dataclass(frozen=True, slots=True)
class Destination:
    """`default`, a network (`10.1.0.0/24`) or a single address."""

    text: str

    @classmethod
    def read(cls, node: Node) -> "Destination":
        if node.value != DEFAULT and not is_network(str(node.value)):
            raise refuse_address(node, "10.1.0.0/24")
        return cls(destination(node.text()))

    def __str__(self) -> str:
        return self.text


@check
class RouteCheck(SeenFrom):
    """A route to a destination is there, this way, or none is. Its value is the gateway, or else the link."""

    route: Annotated[Destination, "The destination."]
    via: Annotated[str | None, "The gateway; `none`: it is on the link itself."] = None
    link: Annotated[str | None, "The link that packets leave by."] = None
    source: Annotated[str | None, "The address that packets are sent from."] = None
    of: Annotated[Subject, "In whose network; by default the machine's."] = Subject()
    machine: Annotated[str, "The machine that is looked at; by default the lesson's own."] = ""
    absent: Annotated[bool, "There must be none."] = False

    example = "{route: default, via: 10.9.0.1, of: {comm: bash}}"

    def value(self, observation: Observation, scope: Scope) -> str | None:
        found = self._find(network_of(self.views(observation, scope)[0]))
        return found[0].gateway or found[0].link if found else None

    def expected(self, scope: Scope) -> Text:
        place, way = self.place(scope), self._way()
        if self.absent:
            return Text(
                f"{place.es}, ninguna ruta a {self.route}{way.es}",
                f"{place.en}, no route to {self.route}{way.en}",
            )
        return Text(
            f"{place.es}, una ruta a {self.route}{way.es}", f"{place.en}, a route to {self.route}{way.en}"
        )

    def judge_view(self, view: View, observation: Observation, scope: Scope) -> Finding:
        network = network_of(view)
        found = self._find(network)
        family = "-6 " if ":" in self.route.text else ""
        look = view.command(f"ip {family}route show", "-n", "net")
        return self.finding(bool(found) != self.absent, scope, self._observed(found, network), look)

    def _way(self) -> Text:
        es = en = ""
        if self.via == "none":
            es, en = " sin puerta de enlace", " without a gateway"
        elif self.via is not None:
            es, en = f" por {self.via}", f" via {self.via}"
        if self.link is not None:
            es, en = f"{es} por la interfaz {self.link}", f"{en} out of {self.link}"
        if self.source is not None:
            es, en = f"{es} con origen {self.source}", f"{en} from {self.source}"
        return Text(es, en)

    def _find(self, network: Network) -> list[Route]:
        return [route for route in self._to_destination(network) if self._goes_so(route)]

    def _to_destination(self, network: Network) -> list[Route]:
        return [route for route in network.routes if destination(route.destination) == self.route.text]

    def _goes_so(self, route: Route) -> bool:
        return (
            (self.via is None or _same("" if self.via == "none" else self.via, route.gateway))
            and self.link in (None, route.link)
            and (self.source is None or _same(self.source, route.source))
        )

    def _observed(self, found: list[Route], network: Network) -> Text:
        if not network.routes:
            return Text("no hay ninguna ruta", "there are no routes at all")
        same = found or self._to_destination(network)
        if same:
            listed = ", ".join(f"«{_written(route)}»" for route in same)
            listed_en = ", ".join(f"“{_written(route)}”" for route in same)
            return Text(f"la ruta es {listed}", f"the route is {listed_en}")
        all_es = ", ".join(f"«{_written(route)}»" for route in network.routes)
        all_en = ", ".join(f"“{_written(route)}”" for route in network.routes)
        return Text(
            f"no hay ruta a {self.route}; hay: {all_es}",
            f"there is no route to {self.route}; there are: {all_en}",
        )


def _same(one: str, other: str) -> bool:
    """Compare addresses, however they are written."""
    try:
        return ip_address(one) == ip_address(other)
    except ValueError:
        return one == other


def _written(route: Route) -> str:
    """Return the route as `ip route` shows it."""
    via = f" via {route.gateway}" if route.gateway else ""
    source = f" src {route.source}" if route.source else ""
    return f"{route.destination}{via} dev {route.link}{source}"
