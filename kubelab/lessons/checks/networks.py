"""The network that a view is in, and how networks are written."""

from ipaddress import ip_interface, ip_network

from kubelab.language import Text
from kubelab.lessons.checks.check import NOT_LOOKED_YET, CannotSee
from kubelab.lessons.checks.subject import View
from kubelab.lessons.located import Node
from kubelab.lessons.observation import Network, Unseen
from kubelab.lessons.view import Verdict

DEFAULT = "default"
_EVERYTHING = ("0.0.0.0/0", "::/0")


def network_of(view: View) -> Network:
    """Return what is in the network namespace of the view. Raises CannotSee."""
    inode = view.namespace("net")
    if inode is None:
        ended = Text("ya no está en ninguna red", "it is in no network any more")
        raise CannotSee(ended, Verdict.NOT_YET)
    network = view.state.networks.get(inode)
    if network is None:
        raise CannotSee(NOT_LOOKED_YET, Verdict.NOT_YET)
    if isinstance(network, Unseen):
        raise CannotSee(network.reason)
    return network


def destination(text: str) -> str:
    """Return a route's destination in one spelling: "default", or with its prefix length; as it is if it is
    neither an address nor a network."""
    try:
        network = str(ip_network(text, strict=False))
    except ValueError:
        return text
    return DEFAULT if network in _EVERYTHING else network


def is_address(text: str) -> bool:
    try:
        ip_interface(text)
    except ValueError:
        return False
    return True


def is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def refuse_address(node: Node, example: str) -> Exception:
    return node.error(
        f"«{node.value}» no es una dirección como {example}.", f"“{node.value}” is no address like {example}."
    )
