"""The volume with a service account's token, as the API server puts it into nearly every pod.

Source: kubernetes, plugin/pkg/admission/serviceaccount/admission.go (TokenVolumeSource).
"""

from kubelab.cluster.objects import Object

TOKEN_EXPIRATION_S = 3607  # Odd on purpose: so the server knows the tokens that it asked for itself.


def token_volume() -> Object:
    """Return a new projected volume, with its defaults."""
    certificate = {"key": "ca.crt", "path": "ca.crt"}
    namespace = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_EXPIRATION_S, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [certificate]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
        ],
        "defaultMode": 0o644,
    }
