"""What clients rely on (`test_registry`) holds as well where a real etcd keeps the cluster's state."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from real_etcd import real_etcd
from test_registry import (
    test_a_compacted_version_is_gone,
    test_a_deleted_object_has_the_revision_of_its_deletion,
    test_a_dry_run_leaves_no_trace,
    test_a_name_is_taken_once,
    test_a_pod_is_bound_once,
    test_a_stale_resource_version_is_a_conflict,
    test_a_watch_resumes_just_after_a_list,
    test_an_object_enters_and_leaves_what_a_watch_selects,
    test_an_object_with_a_finalizer_waits_for_it,
    test_an_update_that_changes_nothing_writes_nothing,
    test_concurrent_patches_without_a_version_all_take_effect,
    test_pages_of_a_selection_are_full,
    test_pages_show_one_revision,
    test_watchers_share_one_event,
)

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.objects import NAMESPACES

__all__ = [
    "test_a_compacted_version_is_gone",
    "test_a_deleted_object_has_the_revision_of_its_deletion",
    "test_a_dry_run_leaves_no_trace",
    "test_a_name_is_taken_once",
    "test_a_pod_is_bound_once",
    "test_a_stale_resource_version_is_a_conflict",
    "test_a_watch_resumes_just_after_a_list",
    "test_an_object_enters_and_leaves_what_a_watch_selects",
    "test_an_object_with_a_finalizer_waits_for_it",
    "test_an_update_that_changes_nothing_writes_nothing",
    "test_concurrent_patches_without_a_version_all_take_effect",
    "test_pages_of_a_selection_are_full",
    "test_pages_show_one_revision",
    "test_watchers_share_one_event",
]


@pytest.fixture
async def registry(clock: VirtualClock, tmp_path: Path) -> AsyncIterator[Registry]:
    async with real_etcd(tmp_path) as store:
        registry = Registry(store, clock)
        await LocalApi(registry).create(NAMESPACES, {"metadata": {"name": "default"}})
        yield registry
