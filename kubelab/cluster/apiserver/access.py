"""Who gets in, and what they may do: what one server knows of its users.

Source: https://kubernetes.io/docs/reference/access-authn-authz/.
"""

from kubelab.cluster.apiserver.authentication.authenticator import Authenticator
from kubelab.cluster.apiserver.authentication.jwt import SigningKey
from kubelab.cluster.apiserver.authorization.authorizer import Authorizer


class Access:
    """`key` signs the service accounts' tokens; without one, a new one does, for as long as this lives."""

    def __init__(self, key: SigningKey | None = None) -> None:
        self.key = key or SigningKey.generate()
        self.authenticator = Authenticator(self.key)
        self.authorizer = Authorizer()
