"""Server-side apply: who owns which field of an object, and what an applied configuration makes of it.

Everyone who writes an object is a manager of the fields that it wrote; `metadata.managedFields` remembers
them. Applying a configuration merges it into the object, takes out what its manager applied before and left
out now (unless another manager owns it), and is a conflict where it would change what another manager owns.
How lists and maps merge is in their type (`types`): from Kubernetes' own types, from a custom resource's
structural schema (`structural`), or deduced from the value.

- `fields`, `path_element`: sets of fields, held as the FieldsV1 JSON that they are written in.
- `validation`, `leaves`, `comparison`, `merging`, `removal`, `migration`: what is done to typed values.
- `updater`: one write, as a change of owners; `field_manager`: one request, with upstream's rules around it;
  `managed_fields`: the entries in the object's metadata.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/;
kubernetes-sigs/structured-merge-diff (fieldpath, typed, merge); kubernetes,
apimachinery/pkg/util/managedfields.
Left out: fields of one object that are owned in several versions are not converted from one to the other (a
version's fields are taken to be those of all); clients' extraction of what they applied.
"""

from kubelab.cluster.apply.conflict import Conflict, ConflictError
from kubelab.cluster.apply.field_manager import ApplyError, FieldManager
from kubelab.cluster.apply.structural import from_structural_schema
from kubelab.cluster.apply.types import DEDUCED, ListType, MapType, Scalar, Type

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
    "from_structural_schema",
]
