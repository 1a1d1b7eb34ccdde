"""Which conditions of a Job hold."""

from kubelab.cluster.objects import Object


def is_true(job: Object, type_: str) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == type_ and each.get("status") == "True" for each in conditions)


def is_finished(job: Object) -> bool:
    return is_true(job, "Complete") or is_true(job, "Failed")
