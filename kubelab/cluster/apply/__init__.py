"""Server-side apply: who owns which field of an object, and what an applied configuration makes of it.

Everyone who writes an object is a manager of the fields that it wrote; `metadata.managedFields` remembers
them. Applying a configuration merges it into the object, takes out what its manager applied before and left
out now (unless another manager owns it), and is a conflict where it would change what another manager owns.
How lists and maps merge is in their type (`types`): from Kubernetes' own types, from a custom resource's
structural schema (`structural`), or deduced from the value.

- `fields`, `path_element`: sets of fields, held as the FieldsV1 JSON that they are written in.
- `validation`, `leaves`, `comparison`, `merging`, `removal`, `migration`: what is done to typed values.
- `updater`: one write, as a change of owners, and `pruning`: what it leaves out; `versions`: owners of one
  object in several versions; `field_manager`: one request, with upstream's rules around it;
  `managed_fields`: the entries in the object's metadata.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/;
kubernetes-sigs/structured-merge-diff (fieldpath, typed, merge); kubernetes,
apimachinery/pkg/util/managedfields.
Left out: clients' extraction of what they applied.
"""

from kubelab.cluster.apply.conflict import Conflict, ConflictError
from kubelab.cluster.apply.field_manager import ApplyError, FieldManager
from kubelab.cluster.apply.structural import from_structural_schema
from kubelab.cluster.apply.types import DEDUCED, ListType, MapType, Scalar, Type
from kubelab.cluster.apply.versions import Version

__all__ = [
    "DEDUCED",
    "ApplyError",
    "Conflict",
    "ConflictError",
    "FieldManager",
    "ListType",
    "MapType",
    "Scalar",
    "Type",
    "Version",
    "from_structural_schema",
]
