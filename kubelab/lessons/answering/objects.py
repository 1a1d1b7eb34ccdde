"""Answers `Objects`: what the API has of a kind that is not watched, if discovery knows the kind."""

import asyncio

from kubelab.cluster.client.api import Api
from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.answering.answer import ask
from kubelab.lessons.checks.kinds import Objects, Served
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import ResourceState, Unseen
from kubelab.lessons.view import sentence_of


@ask.register
async def _(question: Objects, lab: LabPort) -> Served | Unseen:
    try:
        return await _served(question, lab.api)
    except LabError as error:
        return Unseen(sentence_of(error))
    except (ConnectionError, asyncio.InvalidStateError) as error:
        return Unseen(
            Text(f"el servidor de API no responde ({error})", f"the API server does not answer ({error})")
        )


async def _served(question: Objects, api: Api) -> Served | Unseen:
    wanted = question.plural, question.group
    for resource in await api.resources():
        if (resource.plural, resource.group) == wanted:
            listed = await api.list(resource)
            return Served(resource, ResourceState(listed.items))
    name = ".".join(filter(None, wanted))
    return Unseen(Text(f"la API de este cluster no sirve {name}", f"this cluster's API serves no {name}"))
