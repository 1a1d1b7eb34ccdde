"""IP addresses and networks as fields of objects.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/util/validation/ip.go (strict, as from 1.36 on) and
pkg/apis/core/validation/validation.go (ValidateNonSpecialIP).
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from kubelab.cluster.apiserver.fields import FieldError, invalid_value

Address = IPv4Address | IPv6Address


def parse(value: str) -> Address | None:
    """Return the address that *value* is; one of a zone (`fe80::1%eth0`) is none, as for Go."""
    try:
        return None if "%" in value else ip_address(value)
    except ValueError:
        return None


def ip(value: str, field: str) -> Iterator[FieldError]:
    """Yield what keeps *value* from being an IP address."""
    address = parse(value)
    if address is None:
        detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        if parse(".".join(part.lstrip("0") or "0" for part in value.split("."))):
            detail = "must not have leading 0s"
        yield invalid_value(field, value, detail)
    elif isinstance(address, IPv6Address) and address.ipv4_mapped:
        yield invalid_value(field, value, "must not be an IPv4-mapped IPv6 address")


def ip_of_family(value: str, family: str, field: str) -> Iterator[FieldError]:
    """Yield what keeps *value* from being an address of *family* (IPv4, IPv6)."""
    address = parse(value)
    if address is None or f"IPv{address.version}" != family:
        yield invalid_value(field, value, f"must be an {family} address")


def cidr(value: str, field: str) -> Iterator[FieldError]:
    """Yield what keeps *value* from being a network in CIDR notation."""
    try:
        network = ip_network(value, strict=False) if "/" in value and "%" not in value else None
    except ValueError:
        network = None
    if network is None:
        detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        yield invalid_value(field, value, detail)
    elif parse(value.partition("/")[0]) != network.network_address:
        yield invalid_value(field, value, "must not have bits set beyond the prefix length")


def non_special(value: str, field: str) -> Iterator[FieldError]:
    """Yield what keeps *value* from being an address that traffic of a service may go to."""
    address = parse(value)
    if address is None:
        yield invalid_value(field, value, "must be a valid IP address")
    elif address.is_unspecified:
        yield invalid_value(field, value, f"may not be unspecified ({value})")
    elif address.is_loopback:
        yield invalid_value(field, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    elif address.is_link_local:
        yield invalid_value(field, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    elif _is_link_local_multicast(address):
        detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        yield invalid_value(field, value, detail)


def _is_link_local_multicast(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.packed[:3] == b"\xe0\0\0"
    return address.packed[0] == 0xFF and address.packed[1] & 0x0F == 2
