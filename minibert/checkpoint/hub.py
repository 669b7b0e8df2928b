"""From a name to files: a folder on this machine, a checkpoint that ships with minibert, or the Hugging Face hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minibert.checkpoint.files import WEIGHT_FILES, CheckpointError, companions

SHIPPED = Path(__file__).parent.parent / "shipped"

# Seconds until a hub that does not answer counts as out of reach.
PATIENCE = 10

GATED = "it is gated: accept its conditions on its page of the hub, then log in (hf auth login) or pass token="


def resolve_files(name: str | Path, wanted: Sequence[str], **where) -> dict[str, Path]:
    """Those of the `wanted` files that the checkpoint `name` has, by file name; downloaded where necessary.

    A folder called like a hub name wins over the hub, and over a shipped checkpoint of that name. What the hub's
    cache holds of a repository is used when the hub cannot be asked.

    where: `revision` (branch, tag or commit), `cache_dir`, `local_files_only` and `token`, as `huggingface_hub` has
        them.
    Raises `CheckpointError` when `name` is neither a folder nor to be had from the hub.
    """
    checkpoint = _find(name, wanted, **where)
    return {file: checkpoint.get(file) for file in wanted if checkpoint.has(file)}


def resolve_first(name: str | Path, candidates: Sequence[str], **where) -> Path | None:
    """The first of the `candidates` that the checkpoint `name` has, or None; the others are not downloaded.

    Raises `CheckpointError` as `resolve_files` does.
    """
    checkpoint = _find(name, candidates, **where)
    return next((checkpoint.get(file) for file in candidates if checkpoint.has(file)), None)


def resolve_weights(name: str | Path, **where) -> Path:
    """The weights file of the checkpoint `name`: the first of `WEIGHT_FILES` that it has.

    Of weights in several files this is the index, and the others lie beside it. Only what is needed is downloaded:
    never two formats. `where` is that of `resolve_files`.
    Raises `CheckpointError` as `resolve_files` does, and when there are no weights.
    """
    checkpoint = _find(name, WEIGHT_FILES, **where)
    for file in filter(checkpoint.has, WEIGHT_FILES):
        path = checkpoint.get(file)
        for companion in companions(path):
            checkpoint.get(companion)
        return path
    raise CheckpointError(f"{name}: no weights found{checkpoint.note}; expected one of {', '.join(WEIGHT_FILES)}")


def local_folder(name: str | Path) -> Path | None:
    """The folder that `name` stands for without any network, or None."""
    if Path(name).is_dir():
        return Path(name)
    shipped = SHIPPED / str(name)
    return shipped if shipped.parent == SHIPPED and shipped.is_dir() else None


@dataclass
class _Folder:
    """A checkpoint whose files are here."""

    path: Path
    note: str = ""  # for messages: why only this was looked at

    def has(self, file: str) -> bool:
        return (self.path / file).is_file()

    def get(self, file: str) -> Path:
        return self.path / file  # whether a companion exists is the reader's question, who has the better message


@dataclass
class _Repository:
    """A checkpoint on the hub: which files it has is known, and they come when they are needed."""

    name: str
    files: set[str]
    where: dict
    note: str = " on the hub"

    def has(self, file: str) -> bool:
        return file in self.files

    def get(self, file: str) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import GatedRepoError

        try:
            return Path(hf_hub_download(self.name, file, **self.where))
        except GatedRepoError as error:
            raise CheckpointError(f"{self.name!r}: {GATED}") from error
        except Exception as error:  # of the client's network library, which differs between its versions
            raise CheckpointError(
                f"{self.name!r}: {file} could not be fetched from the hub, try again: {_reason(error)}"
            ) from error


class _HubSilent(Exception):
    """The hub was not asked, or did not tell what a repository has; the message says why, and what to do."""


def _find(name: str | Path, wanted: Sequence[str], **where) -> _Folder | _Repository:
    folder = local_folder(name)
    if folder is not None:
        return _Folder(folder)
    name = str(name)
    try:
        return _Repository(name, _files_on_hub(name, **where), where)
    except _HubSilent as why:
        cached = _cached_folder(name, wanted, **where)
        if cached is None:
            raise CheckpointError(f"{name!r} is not a folder here, it is not in the hub cache, and {why}") from why
        return _Folder(cached, note=f" in the part of it that is in the hub cache, and {why}")


def _files_on_hub(
    name: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    cache_dir: str | Path | None = None,
) -> set[str]:
    """The names of all files of a repository, in one request without retries: a missing network is noticed at once.

    Raises `_HubSilent` where the cache may help, `CheckpointError` where it cannot.
    """
    # Imported here because most uses are local, and the client library takes longer to import than we do.
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if local_files_only:
        raise _HubSilent("the hub may not be asked (local_files_only); go online once, or pass a folder")
    try:
        info = HfApi(token=token).model_info(name, revision=revision, timeout=PATIENCE)
    except HFValidationError as error:
        raise CheckpointError(
            f"{name!r} is not a folder here, and not a name on the hub either (OWNER/NAME); check the path"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{name!r} has no revision {revision!r} on the hub; check revision=") from error
    except GatedRepoError as error:
        raise _HubSilent(GATED) from error
    except RepositoryNotFoundError as error:
        raise _HubSilent("the hub has no such repository; check the name, a private one needs token=") from error
    except OfflineModeIsEnabled as error:
        raise _HubSilent("the hub may not be asked (HF_HUB_OFFLINE); go online once, or pass a folder") from error
    except Exception as error:  # of the client's network library, which differs between its versions
        why = f"the hub could not be asked ({_reason(error)}); try again online, or pass a folder"
        raise _HubSilent(why) from error
    return {file.rfilename for file in info.siblings or ()}


def _cached_folder(
    name: str, wanted: Sequence[str], *, revision: str | None = None, cache_dir: str | Path | None = None, **_
) -> Path | None:
    """The folder of a revision in the hub's cache, when it holds something of a checkpoint."""
    from huggingface_hub import try_to_load_from_cache

    for file in ("config.json", *wanted):
        path = try_to_load_from_cache(name, file, cache_dir=cache_dir, revision=revision)
        if isinstance(path, str):
            return Path(path).parent
    return None


def _reason(error: BaseException) -> str:
    """In one line, what the network said at first: the client library wraps it several times."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return " ".join(str(error).split())[:200] or type(error).__name__
