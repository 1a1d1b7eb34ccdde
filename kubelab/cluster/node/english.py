"""What the API is told of an error: events and statuses are English, whatever the locale."""

from kubelab.cluster.errors import LabError
from kubelab.language import Text


def english(failure: Exception) -> str:
    """Return the error's sentence as the API has it."""
    if isinstance(failure, LabError) and isinstance(failure.sentence, Text):
        return failure.sentence.in_("en")
    return str(failure)
