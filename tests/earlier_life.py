"""What a lab finds that was here before: its masters' disks, with one object in their store."""

from pathlib import Path

import msgspec

from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.shape import Shape, write
from kubelab.cluster.lab.stopped_store import restore_lab
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import Put

KEPT = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {
        "name": "kept",
        "namespace": "default",
        "uid": "6a0e7a40-1111-4c1d-8a40-4c2f5b3f8e11",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    },
    "data": {"from": "the cluster's earlier life"},
}


def earlier_life(place: Path, masters: int) -> LabDirectory:
    """Leave what a lab of so many masters would have."""
    directory, mvcc = LabDirectory(place), Mvcc()
    write(directory.shape, Shape(masters, "raft", has_run=True))
    mvcc.apply(Put(b"/registry/configmaps/default/kept", msgspec.json.encode(KEPT)))
    restore_lab(directory, mvcc, force=False)
    return directory
