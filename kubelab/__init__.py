"""kubelab: a lab in which people understand containers and Kubernetes on a real mini cluster."""

__version__ = "0.1.0"
