"""Aliases: forward through the gate, and back again."""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from kmnist.data import Dataset
from kmnist.errors import ModelError
from kmnist.registry.gate import Verdict, examine, open_candidate
from kmnist.registry.versions import NAME


def promote(client: MlflowClient, number: str, alias: str, data: Dataset, force: bool = False) -> list[Verdict]:
    """Point an alias to a version, if the gate lets it pass; the verdict stays with the version as tags.

    Args:
        client: of the registry.
        number: of the version.
        alias: for example ``champion``.
        data: Kuzushiji-MNIST, to measure on.
        force: point the alias there whatever the checks say; the tags say so.

    Raises:
        ModelError: there is no such version, it cannot be loaded, or a check failed (the message says which).
    """
    version = _version(client, number)
    held = _holder(client, alias)
    before = held if held and held.version != version.version else None
    candidate = open_candidate(client, version)
    verdicts = examine(candidate, open_candidate(client, before) if before else None, data)
    failed = [verdict for verdict in verdicts if not verdict.passed]
    outcome = "passed" if not failed else "forced" if force else "refused"
    for verdict in verdicts:
        text = f"{'passed' if verdict.passed else 'FAILED'}: {verdict.found}"
        client.set_model_version_tag(NAME, number, f"gate.{verdict.check}", text)
    client.set_model_version_tag(NAME, number, "gate", outcome)
    if outcome == "refused":
        lines = "\n".join(f"  {verdict.check}: {verdict.found}" for verdict in failed)
        raise ModelError(f"version {number} is not promoted to {alias}:\n{lines}\nTo do it all the same: --force")
    if before is not None:
        client.set_model_version_tag(NAME, number, f"before.{alias}", str(before.version))
    client.set_registered_model_alias(NAME, alias, number)
    return verdicts


def rollback(client: MlflowClient, alias: str) -> tuple[str, str]:
    """Point an alias to the version that had it before; gives the numbers from and to.

    Raises:
        ModelError: the alias points nowhere, or nothing had it before.
    """
    holder = _holder(client, alias)
    if holder is None:
        raise ModelError(f"no version has the alias {alias!r}; kmnist models lists those there are")
    before = holder.tags.get(f"before.{alias}")
    if before is None:
        raise ModelError(f"version {holder.version} is the first that had the alias {alias!r}: there is none before it")
    client.set_registered_model_alias(NAME, alias, before)
    return str(holder.version), before


def _holder(client: MlflowClient, alias: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(NAME, alias)
    except MlflowException:
        return None


def _version(client: MlflowClient, number: str) -> ModelVersion:
    try:
        return client.get_model_version(NAME, number)
    except MlflowException as error:
        there = ", ".join(str(found.version) for found in client.search_model_versions(f"name = '{NAME}'"))
        raise ModelError(
            f"there is no version {number!r}; there are: {there or 'none; kmnist register RUN_ID'}"
        ) from error
