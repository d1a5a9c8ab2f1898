"""Aliases: forward through the gate, and back down their history."""

import re
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel

from kmnist.data import Dataset
from kmnist.errors import ModelError, SettingError
from kmnist.registry.gate import SLOWDOWN, Candidate, Verdict, compare, examine, fail_comparisons, open_candidate
from kmnist.registry.lease import lease
from kmnist.registry.load import find_version
from kmnist.registry.server import asked, look_up, look_up_version
from kmnist.registry.signature import certify, signing_key
from kmnist.registry.versions import DEFAULT_NAME

MOST_CHARACTERS = 200  # of an alias, which is a part of the names of tags
MOST_REMEMBERED = 1_000


@dataclass(frozen=True)
class Rollback:
    """Where an alias was and is.

    Attributes:
        before: number of the version; ``None`` if it has been deleted.
        after: number of the version.
        skipped: those between that have been deleted.
    """

    before: str | None
    after: str
    skipped: list[str]


def promote(
    client: MlflowClient,
    number: str,
    alias: str,
    data: Dataset,
    force: bool = False,
    *,
    name: str = DEFAULT_NAME,
    slowdown: float = SLOWDOWN,
) -> list[Verdict]:
    """Point an alias to a version, if the gate lets it pass; the verdict stays with the version as tags.

    So does the digest of its files and, where ``KMNIST_SIGNING_KEY`` is set, a signature.

    Args:
        client: of the registry.
        number: of the version.
        alias: for example ``champion``.
        data: to measure on.
        force: point the alias there whatever the checks say; the tags say so.
        name: of the registered model.
        slowdown: how many times the time of the version that has the alias a picture may take.

    Raises:
        ModelError: there is no such version, it cannot be loaded, a check failed (the message says which), or the alias
            was moved meanwhile.
        SettingError: the alias is no name for one.
        TrackingError: the server does not answer.
    """
    check_alias(alias)
    key = signing_key()
    version = find_version(client, name, None, number)
    number = str(version.version)
    with asked():
        held = _holder(client.get_registered_model(name), alias)
    candidate = open_candidate(client, version)
    verdicts = examine(candidate, data)
    if held is not None and held != number:
        verdicts += _compare(client, candidate, name, held, data, slowdown)
    failed = [verdict for verdict in verdicts if not verdict.passed]
    outcome = "passed" if not failed else "forced" if force else "refused"
    tags = {**{f"gate.{verdict.check}": str(verdict) for verdict in verdicts}, "gate": outcome}
    if outcome != "refused":
        tags |= certify(version, candidate.digest, key)
    with asked():
        for tag, text in tags.items():
            client.set_model_version_tag(name, number, tag, text)
    if outcome == "refused":
        lines = "\n".join(f"  {verdict.check}: {verdict.found}" for verdict in failed)
        raise ModelError(f"version {number} is not promoted to {alias}:\n{lines}\nTo do it all the same: --force")
    with lease(client, name, alias) as registered:
        if (now := _holder(registered, alias)) != held:
            raise ModelError(
                f"{alias} was moved from {_shown(held)} to {_shown(now)} while version {number} was compared with "
                f"{_shown(held)}: promote again"
            )
        history = _history(registered, alias)
        if held is not None and history[-1:] != [held]:  # it was set by other means
            history.append(held)
        if history[-1:] != [number]:
            history.append(number)
        with asked():  # in this order: if only the first is done, a rollback still goes down
            client.set_registered_model_alias(name, alias, number)
            _remember(client, name, alias, history)
    return verdicts


def rollback(client: MlflowClient, alias: str, *, name: str = DEFAULT_NAME) -> Rollback:
    """Point an alias to the version that had it before, down its history; deleted versions are skipped.

    Raises:
        ModelError: there is none.
        SettingError: the alias is no name for one.
        TrackingError: the server does not answer.
    """
    check_alias(alias)
    if look_up(lambda: client.get_registered_model(name)) is None:
        raise ModelError(f"there is no registered model {name!r}: nothing has an alias; kmnist register RUN_ID")
    with lease(client, name, alias) as registered:
        holder, history = _holder(registered, alias), _history(registered, alias)
        skipped: list[str] = []
        while history:
            number = history[-1]
            if number != holder and number not in skipped:
                if look_up_version(client, name, number):
                    break
                skipped.append(number)
            history.pop()
        else:
            deleted = f"; version {', '.join(skipped)}, which had it, is deleted" if skipped else ""
            if holder is None:
                raise ModelError(f"no version has the alias {alias!r}{deleted}; kmnist models lists those there are")
            raise ModelError(
                f"version {holder} is the first that had the alias {alias!r}{deleted}: nothing is before it"
            )
        with asked():  # in this order: if only the first is done, the next rollback goes to the same place
            _remember(client, name, alias, history)
            client.set_registered_model_alias(name, alias, history[-1])
    return Rollback(holder, history[-1], skipped)


def check_alias(alias: str) -> None:
    """See that a text can be an alias.

    Raises:
        SettingError: MLflow would refuse it, or take it for a version.
    """
    # MLflow's own rules, which it keeps in private functions and names anew from version to version.
    if not re.fullmatch(r"[\w-]+", alias) or alias.lower() == "latest" or re.fullmatch(r"[vV]\d+", alias):
        rule = "must be letters, digits, _ and -, and neither latest nor a version like v1"
    elif len(alias) > MOST_CHARACTERS:
        rule = f"it has {len(alias)} characters, at most {MOST_CHARACTERS} may it have"
    else:
        return
    raise SettingError(f"alias={alias[:80]!r}: {rule}; a good one: champion")


def _compare(
    client: MlflowClient, candidate: Candidate, name: str, held: str, data: Dataset, slowdown: float
) -> list[Verdict]:
    try:
        return compare(candidate, open_candidate(client, find_version(client, name, None, held)), data, slowdown)
    except ModelError as error:
        return fail_comparisons(f"it cannot be compared with the version that has the alias: {error}")


def _holder(registered: RegisteredModel, alias: str) -> str | None:
    number = registered.aliases.get(alias)
    return None if number is None else str(number)


def _shown(holder: str | None) -> str:
    return "no version" if holder is None else f"version {holder}"


def _history(registered: RegisteredModel, alias: str) -> list[str]:
    """The numbers of the versions that had the alias, the last one last; none if somebody else wrote the tag."""
    text = registered.tags.get(f"history.{alias}", "")
    return text.split(" ") if re.fullmatch("[0-9]{1,9}( [0-9]{1,9})*", text) else []


def _remember(client: MlflowClient, name: str, alias: str, history: list[str]) -> None:
    client.set_registered_model_tag(name, f"history.{alias}", " ".join(history[-MOST_REMEMBERED:]))
