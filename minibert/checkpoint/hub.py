"""From a name to files: a folder on this machine, a checkpoint that ships with minibert, or the Hugging Face hub."""

from collections.abc import Sequence
from pathlib import Path

from minibert.checkpoint.files import WEIGHT_FILES, CheckpointError, shard_names

SHIPPED = Path(__file__).parent.parent / "checkpoints"


def resolve_files(
    name: str | Path,
    wanted: Sequence[str],
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> dict[str, Path]:
    """Those of the `wanted` files that the checkpoint `name` has, by file name; downloaded where necessary.

    A folder called like a hub name wins over the hub, and over a shipped checkpoint of that name.
    Raises `CheckpointError` when `name` is neither a folder nor to be had from the hub.
    """
    folder = local_folder(name)
    if folder is not None:
        return {file: folder / file for file in wanted if (folder / file).is_file()}
    where = {"revision": revision, "cache_dir": cache_dir, "local_files_only": local_files_only, "token": token}
    paths = {file: _download(str(name), file, where) for file in wanted}
    return {file: path for file, path in paths.items() if path is not None}


def resolve_weights(name: str | Path, **where) -> Path:
    """The weights file of the checkpoint `name`: the first of `WEIGHT_FILES` that it has.

    Of a sharded checkpoint this is the index, and the shards lie beside it. `where` takes the keyword
    arguments of `resolve_files`. Only what is needed is downloaded: never both formats.
    """
    for candidate in WEIGHT_FILES:
        found = resolve_files(name, [candidate], **where)
        if found:
            if candidate.endswith(".index.json"):
                resolve_files(name, shard_names(found[candidate]), **where)
            return found[candidate]
    raise CheckpointError(f"{name}: no weights found; expected one of {', '.join(WEIGHT_FILES)}")


def local_folder(name: str | Path) -> Path | None:
    """The folder that `name` stands for without any network, or None."""
    if Path(name).is_dir():
        return Path(name)
    shipped = SHIPPED / str(name)
    return shipped if shipped.parent == SHIPPED and shipped.is_dir() else None


def _download(name: str, file: str, where: dict) -> Path | None:
    """One file of a hub repository, or None when the repository has no such file."""
    # Imported here because most uses are local, and the client library takes longer to import than we do.
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(hf_hub_download(name, file, **where))
    except HFValidationError as error:
        raise CheckpointError(
            f"{name!r} is not a folder here, and not a name on the hub either (OWNER/NAME); check the path"
        ) from error
    except GatedRepoError as error:
        raise CheckpointError(
            f"{name!r} is gated: accept its conditions on the hub, then log in or pass token="
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{name!r} is not a folder here, and the hub has no such repository; a private one needs token="
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{name!r} has no revision {where['revision']!r} on the hub") from error
    except LocalEntryNotFoundError as error:
        # Without the hub we cannot know which files a repository has; what a checkpoint in the cache lacks, we take
        # as not being there. That is how a checkpoint with a pytorch_model.bin alone loads offline.
        cache = {"revision": where["revision"], "cache_dir": where["cache_dir"]}
        if try_to_load_from_cache(name, "config.json", **cache) is not None:
            return None
        raise CheckpointError(
            f"{name!r} is not a folder here, {file} is not in the hub cache, and the hub cannot be reached or may not"
            " be asked (HF_HUB_OFFLINE, local_files_only); go online once, or pass a folder"
        ) from error
    except EntryNotFoundError:
        return None
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(f"{name!r}: {file} could not be fetched from the hub: {reason}") from error
