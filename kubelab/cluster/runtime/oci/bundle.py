"""A bundle: config.json and the root file system beside it.

Source: OCI runtime specification, bundle.md; config.md: relative paths of the root and of binds are the
bundle's.
"""
# ruff: noqa: PTH100, PTH112, PTH123

import json
import os
from dataclasses import dataclass, replace
from typing import Any

from kubelab.cluster.runtime.config import Config, ConfigError, Mount, parse
from kubelab.cluster.runtime.container import check
from kubelab.language import Text


@dataclass(frozen=True, slots=True)
class Bundle:
    path: str
    document: dict[str, Any]
    config: Config
    rootfs: str


def read_json(path: str) -> dict[str, Any]:
    """Raises ConfigError: there is no such file, or no JSON object in it."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise ConfigError(_UNREADABLE.format(path=path, reason=error.strerror)) from None
    except ValueError as error:
        raise ConfigError(_UNREADABLE.format(path=path, reason=error)) from None
    if not isinstance(document, dict):
        raise ConfigError(_UNREADABLE.format(path=path, reason="{ }?"))
    return document


def open_bundle(path: str, config_file: str = "") -> Bundle:
    """Return the bundle in the directory *path*.

    Raises:
        ConfigError: it is none, or asks for what there is not.
    """
    path = os.path.abspath(path or ".")
    document = read_json(config_file or f"{path}/config.json")
    config = parse(document)
    if not config.version:
        raise ConfigError(_NO_VERSION)
    if config.root is None or config.process is None:
        raise ConfigError(_NO_ROOT)
    rootfs = os.path.realpath(os.path.join(path, config.root.path))
    if not os.path.isdir(rootfs):
        raise ConfigError(_UNREADABLE.format(path=rootfs, reason="rootfs"))
    config = replace(config, mounts=tuple(_absolute(each, path) for each in config.mounts))
    check(config)
    return Bundle(path, document, config, rootfs)


def _absolute(mount: Mount, bundle: str) -> Mount:
    is_bind = mount.type in ("bind", "rbind") or {"bind", "rbind"} & set(mount.options)
    return replace(mount, source=os.path.join(bundle, mount.source)) if is_bind else mount


_UNREADABLE = Text(
    es="no se puede leer {path}: {reason}",
    en="{path} cannot be read: {reason}",
)
_NO_VERSION = Text(
    es="config.json no dice de qué versión de la especificación es: añade ociVersion",
    en="config.json does not say of which version of the specification it is: add ociVersion",
)
_NO_ROOT = Text(
    es="config.json necesita root y process: sin ellos no hay nada que crear",
    en="config.json needs root and process: without them there is nothing to create",
)
