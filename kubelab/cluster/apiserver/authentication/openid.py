"""What others need to check our service accounts' tokens: OpenID Connect's discovery documents. Pure.

Source: kubernetes, pkg/serviceaccount/openidmetadata.go;
https://openid.net/specs/openid-connect-discovery-1_0.html.
"""

from kubelab.cluster.apiserver.authentication.claims import ISSUER
from kubelab.cluster.apiserver.authentication.jwt import ALGORITHM, SigningKey
from kubelab.cluster.objects import Object

CONFIGURATION_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/openid/v1/jwks"
CONFIGURATION_TYPE = "application/json"
KEYS_TYPE = "application/jwk-set+json"


def configuration() -> Object:
    return {
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}{KEYS_PATH}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }


def keys(key: SigningKey) -> Object:
    return {"keys": [key.jwk()]}
