"""Names of container images, as far as the API looks into them.

Source: kubernetes, pkg/util/parsers/parsers.go (ParseImageName).
"""


def pull_policy(image: str) -> str:
    """Return the policy that goes without saying: `:latest`, said or meant, is pulled each time."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if not digest and tag in {"", "latest"} else "IfNotPresent"
