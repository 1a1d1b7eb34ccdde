"""The asyncio client: objects and a watch at once."""

import asyncio

from kubernetes_asyncio import client, config, watch


async def main() -> None:
    await config.load_kube_config()
    async with client.ApiClient() as api:
        core = client.CoreV1Api(api)
        seen: list[tuple[str, str]] = []
        listed = await core.list_namespaced_secret("default")

        async def follow() -> None:
            version = listed.metadata.resource_version
            async with watch.Watch().stream(
                core.list_namespaced_secret, "default", resource_version=version, timeout_seconds=10
            ) as stream:
                async for event in stream:
                    seen.append((event["type"], event["object"].metadata.name))
                    if event["type"] == "DELETED":
                        return

        following = asyncio.create_task(follow())
        await asyncio.sleep(0)
        secret = client.V1Secret(metadata=client.V1ObjectMeta(name="key"), string_data={"a": "b"})
        made = await core.create_namespaced_secret("default", secret)
        assert made.data == {"a": "Yg=="}, made
        await core.delete_namespaced_secret("key", "default")
        await asyncio.wait_for(following, 10)
        assert seen == [("ADDED", "key"), ("DELETED", "key")], seen
    print("well")


asyncio.run(main())
