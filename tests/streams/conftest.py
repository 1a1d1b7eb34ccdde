from stream_lab import any_kubectl, kubectl, lab

__all__ = ["any_kubectl", "kubectl", "lab"]
