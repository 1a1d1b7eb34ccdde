"""What the official client's users do: objects, patches, a watch that goes on, scale, a custom resource."""

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException

config.load_kube_config()
core, apps = client.CoreV1Api(), client.AppsV1Api()
settings = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="settings"), data={"color": "blue"})
made = core.create_namespaced_config_map("default", settings)
assert made.data == {"color": "blue"}, made
try:
    core.create_namespaced_config_map("default", settings)
except ApiException as error:
    assert (error.status, error.reason) == (409, "Conflict"), error
else:
    raise AssertionError("made twice")
core.patch_namespaced_config_map("settings", "default", {"data": {"color": "red"}})
events = []
watching = watch.Watch()
for event in watching.stream(
    core.list_namespaced_config_map,
    "default",
    field_selector="metadata.name=settings",
    resource_version=made.metadata.resource_version,
    timeout_seconds=5,
):
    events.append((event["type"], event["object"].data["color"]))
    watching.stop()
assert events == [("MODIFIED", "red")], events

container = client.V1Container(name="server", image="kubelab/web:1")
labels = {"app": "web"}
template = client.V1PodTemplateSpec(
    metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
)
deployment = client.V1Deployment(
    metadata=client.V1ObjectMeta(name="web"),
    spec=client.V1DeploymentSpec(replicas=2, selector={"matchLabels": labels}, template=template),
)
apps.create_namespaced_deployment("default", deployment)
apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 3}})
assert apps.read_namespaced_deployment_scale("web", "default").spec.replicas == 3
assert apps.read_namespaced_deployment("web", "default").spec.replicas == 3
assert [each.metadata.name for each in core.list_namespace().items][:1] == ["default"]

pages, token = 0, ""
while True:
    page = core.list_namespaced_config_map("default", limit=1, _continue=token)
    pages, token = pages + 1, page.metadata._continue
    if not token:
        break
assert pages >= 1, pages

definition = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "boats.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "boats", "singular": "boat", "kind": "Boat"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"masts": {"type": "integer"}}}
                        },
                    }
                },
            }
        ],
    },
}
client.ApiextensionsV1Api().create_custom_resource_definition(definition)
custom = client.CustomObjectsApi()
boat = {"apiVersion": "example.com/v1", "kind": "Boat", "metadata": {"name": "ana"}, "spec": {"masts": 2}}
custom.create_namespaced_custom_object("example.com", "v1", "default", "boats", boat)
listed = custom.list_namespaced_custom_object("example.com", "v1", "default", "boats")
assert [each["spec"]["masts"] for each in listed["items"]] == [2], listed

dynamically = dynamic.DynamicClient(client.ApiClient())
boats = dynamically.resources.get(api_version="example.com/v1", kind="Boat")
applied = boats.server_side_apply(
    body=boat | {"spec": {"masts": 3}}, namespace="default", field_manager="me", force_conflicts=True
)
assert applied.spec.masts == 3, applied
boats.delete("ana", "default")
deleted = core.delete_namespaced_config_map("settings", "default")
assert deleted["status"] == "Success", deleted
print("well")
