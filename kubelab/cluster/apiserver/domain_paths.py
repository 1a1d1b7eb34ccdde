"""Names that begin with their owner's domain: `acme.io/foo`.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go (IsDomainPrefixedPath).
"""

import re
from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import FieldError, dns_subdomain, invalid_value, required, word

_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"


def domain_prefixed_path(value: str, field: str) -> Iterator[FieldError]:
    """Yield what keeps *value* from being a path behind a domain."""
    domain, _, path = value.partition("/")
    if not value:
        yield required(field)
    elif not domain or not path:
        yield invalid_value(field, value, 'must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        yield from word(domain, field, dns_subdomain)
        if not re.fullmatch(_PATH, path):
            yield invalid_value(field, path, f"Invalid path (regex used for validation is '{_PATH}')")
