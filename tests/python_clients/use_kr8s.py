"""kr8s: objects that know how to change themselves."""

import kr8s
from kr8s.objects import ConfigMap, Deployment, Namespace

api = kr8s.api()
assert api.version()["major"] == "1"
settings = ConfigMap({"metadata": {"name": "settings"}, "data": {"color": "blue"}})
settings.create()
assert settings.exists()
settings.patch({"data": {"color": "red"}})
assert ConfigMap.get("settings").data.color == "red"
settings.label({"team": "a"})
assert [each.name for each in kr8s.get("configmaps", label_selector="team=a")] == ["settings"]
web = Deployment(
    {
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "server", "image": "kubelab/web:1"}]},
            },
        },
    }
)
web.create()
web.scale(0)
web.refresh()
assert web.replicas == 0
assert "default" in {each.name for each in Namespace.list()}
settings.delete()
settings.wait("delete", timeout=10)
print("well")
