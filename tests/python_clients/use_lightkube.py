"""lightkube: typed models, server-side apply, generators over pages."""

from lightkube import ApiError, Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node
from lightkube.types import PatchType

client = Client(field_manager="lightkube", namespace="default")
made = client.create(ConfigMap(metadata=ObjectMeta(name="settings"), data={"color": "blue"}))
made.data["color"] = "green"
assert client.replace(made).data["color"] == "green"
patched = client.patch(ConfigMap, "settings", {"data": {"size": "3"}}, patch_type=PatchType.MERGE)
assert patched.data == {"color": "green", "size": "3"}
for number in range(5):
    client.create(ConfigMap(metadata=ObjectMeta(name=f"more-{number}", labels={"of": "many"})))
assert len(list(client.list(ConfigMap, labels={"of": "many"}, chunk_size=2))) == 5
applied = client.apply(
    ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="applied"), data={"a": "b"})
)
assert [each.manager for each in applied.metadata.managedFields] == ["lightkube"]
for operation, obj in client.watch(ConfigMap, fields={"metadata.name": "applied"}):
    assert (operation, obj.data) == ("ADDED", {"a": "b"})
    break
try:
    client.get(ConfigMap, "nobody")
except ApiError as error:
    assert error.status.reason == "NotFound"
assert list(client.list(Node)) == []
assert {"default", "kube-system"} <= {each.metadata.name for each in client.list(Namespace)}
for number in range(5):
    client.delete(ConfigMap, f"more-{number}")
assert not list(client.list(ConfigMap, labels={"of": "many"}))
print("well")
