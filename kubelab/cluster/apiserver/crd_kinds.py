"""The kind that brings kinds: CustomResourceDefinition. What it brings is in the package `crd`."""

from kubelab.cluster.apiserver.crd import definition
from kubelab.cluster.apiserver.crd.definition import DEFINITIONS
from kubelab.cluster.apiserver.kind import Kind

KINDS = (
    Kind(
        DEFINITIONS,
        "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.CustomResourceDefinition",
        "customresourcedefinition",
        definition.COLUMNS,
        definition.cells,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        subresources=("status",),
        has_generation=True,
        set_defaults=definition.set_defaults,
        prepare_create=definition.prepare_create,
        prepare_update=definition.prepare_update,
        validate=definition.validate,
        validate_create=definition.validate_create,
        validate_update=definition.validate_update,
        validate_parts={"status": definition.validate_status},
        unconditional_update=False,
        warnings=definition.warnings,
        on_delete=definition.terminating,
        in_threads=True,  # A schema of 1 MB takes half a second.
    ),
)
