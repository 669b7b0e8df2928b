"""A checkpoint, opened once: a folder on this machine, one that ships with minibert, or a repository on the hub."""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from minibert.checkpoint.files import WEIGHT_FILES, CheckpointError, companions, read_json, read_tensors

SHIPPED = Path(__file__).parent.parent / "shipped"

CONFIG_FILES = ("config.json", "bert_config.json")  # the latter in Google's files
VOCABULARY_FILES = ("tokenizer.json", "vocab.txt")

# Seconds until a hub that does not answer counts as out of reach.
PATIENCE = 10

GATED = "it is gated: accept its conditions on its page of the hub, then log in (hf auth login) or pass token="


@dataclass
class Checkpoint:
    """The files of a checkpoint. `Checkpoint.open` makes one; config, model and tokenizer are read from it.

    Of a folder, the files are where they are; of a repository, they come when they are needed, all from the same
    commit.
    """

    name: str  # as the user has it, for messages
    folder: Path = Path()  # where the files are; in a repository, below its root
    note: str = ""  # for messages: why only this was looked at

    @classmethod
    def open(
        cls,
        name: "str | Path | Checkpoint",
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        subfolder: str = "",
    ) -> "Checkpoint":
        """Find the checkpoint `name`.

        A folder called like a hub name wins over the hub, and over a shipped checkpoint of that name. What the hub's
        cache holds of a repository is used when the hub cannot be asked.

        Args:
            name: a folder, a checkpoint that ships with minibert, a name on the hub, or a checkpoint that is open.
            revision: a branch, tag or commit of the hub; default: main.
            token: for a repository that not everybody may see; True: the one that was saved by logging in.
            cache_dir: where downloads are kept; default: where `huggingface_hub` keeps them.
            local_files_only: never ask the hub.
            force_download: download anew what is in the cache.
            subfolder: the folder below, in which the checkpoint lies.

        Raises: `CheckpointError` when `name` is neither a folder nor to be had from the hub.
        """
        if isinstance(name, Checkpoint):
            return name
        if (folder := local_folder(name)) is not None:
            return cls(str(name), folder / subfolder)
        where = {"revision": revision, "token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
        try:
            repository = Repository.listed(str(name), where | {"force_download": force_download})
            repository.folder = Path(subfolder)
            return repository
        except _HubSilent as why:
            cached = _cached_folder(str(name), revision, cache_dir)
            if cached is None:
                raise CheckpointError(
                    f"{str(name)!r} is not a folder here, it is not in the hub cache, and {why}"
                ) from why
            return cls(str(name), cached / subfolder, note=f" in the part of it that is in the hub cache, and {why}")

    def has(self, file: str) -> bool:
        """Whether the checkpoint has this file."""
        return (self.folder / file).is_file()

    def path(self, file: str) -> Path:
        """Where a file is that the checkpoint has; one of a repository is downloaded first."""
        return self.folder / file

    def paths(self, files: Iterable[str]) -> dict[str, Path]:
        """Those of the `files` that the checkpoint has, by their names."""
        return {file: self.path(file) for file in files if self.has(file)}

    def first(self, candidates: Iterable[str]) -> Path | None:
        """The first of the `candidates` that the checkpoint has, or None; the others are not downloaded."""
        return next((self.path(file) for file in candidates if self.has(file)), None)

    def inside(self, folder: str) -> Self:
        """One of its folders, as a checkpoint of its own; "." is the checkpoint itself."""
        return self if folder == "." else replace(self, name=f"{self.name}/{folder}", folder=self.folder / folder)

    def weights(self, use_safetensors: bool | None = None) -> Path:
        """The first of `WEIGHT_FILES` that the checkpoint has.

        Of weights in several files this is the index, and the others lie beside it. Only what is needed is
        downloaded: never two formats. Raises `CheckpointError` when there are no weights.

        use_safetensors: True: no other format will do; False: any other; None: safetensors where there is a choice.
        """
        accepted = [f for f in WEIGHT_FILES if use_safetensors is None or ("safetensors" in f) == use_safetensors]
        path = self.first(accepted)
        if path is None:
            expected = ", ".join(accepted)
            raise CheckpointError(f"{self.name}: no weights found{self.note}; expected one of {expected}")
        for companion in companions(path):
            self.path(companion)  # whether it exists is the reader's question, who has the better message
        return path

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the weights, by the names that they have in the file."""
        return read_tensors(self.weights())

    def config(self) -> tuple[dict[str, Any], Path]:
        """The fields of `config.json` (in the oldest checkpoints `bert_config.json`), and where it is.

        Raises `CheckpointError` when there is none.
        """
        path = self.first(CONFIG_FILES)
        if path is None:
            raise CheckpointError(f"{self.name}: no config.json found; is this the folder of a checkpoint?")
        return read_json(path), path


def open_from(name: str | Path | Checkpoint, options: dict[str, Any]) -> Checkpoint:
    """Open a checkpoint with those of the `options` that say where it is; they are taken out of `options`.

    Raises `ValueError` for one that asks for what is not done here.
    """
    if "use_auth_token" in options:  # the older name
        options["token"] = options.pop("use_auth_token")
    if options.pop("trust_remote_code", False):
        raise ValueError("trust_remote_code=True: no code of a checkpoint is ever executed here; leave it out")
    if options.pop("proxies", None):
        raise ValueError("proxies: set HTTPS_PROXY in the environment, which the hub's client reads")
    places = [key for key in inspect.signature(Checkpoint.open).parameters if key in options and key != "name"]
    return Checkpoint.open(name, **{key: options.pop(key) for key in places})


def local_folder(name: str | Path) -> Path | None:
    """The folder that `name` stands for without any network, or None."""
    if Path(name).is_dir():
        return Path(name)
    shipped = SHIPPED / str(name)
    return shipped if shipped.parent == SHIPPED and shipped.is_dir() else None


# --- the hub


@dataclass
class Repository(Checkpoint):
    """A checkpoint on the hub: which files it has is known, and they come when they are needed."""

    files: set[str] = field(default_factory=set)
    commit: str = ""
    where: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def listed(cls, name: str, where: dict[str, Any]) -> "Repository":
        """Ask the hub what it has under `name`, once and without retries: a missing network is noticed at once.

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

        revision = where["revision"]
        if where["local_files_only"]:
            raise _HubSilent("the hub may not be asked (local_files_only); go online once, or pass a folder")
        try:
            info = HfApi(token=where["token"]).model_info(name, revision=revision, timeout=PATIENCE)
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
        files = {file.rfilename for file in info.siblings or ()}
        return cls(name, note=" on the hub", files=files, commit=info.sha or "", where=where)

    def has(self, file: str) -> bool:
        """Whether the repository has this file."""
        return (self.folder / file).as_posix() in self.files

    def inside(self, folder: str) -> Self:
        """One of its folders; the hub knows it by the name of the repository."""
        return replace(self, folder=self.folder / folder)

    def path(self, file: str) -> Path:
        """Where the file is in the hub's cache, downloaded if it was not there."""
        path = self._download(file, **self.where)
        if self.commit and self.commit not in path.parts:  # the branch has moved on since it was listed
            path = self._download(file, **self.where | {"revision": self.commit})
        return path

    def _download(self, file: str, **where: Any) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import GatedRepoError

        try:
            return Path(hf_hub_download(self.name, (self.folder / file).as_posix(), **where))
        except GatedRepoError as error:
            raise CheckpointError(f"{self.name!r}: {GATED}") from error
        except Exception as error:  # of the client's network library, which differs between its versions
            raise CheckpointError(
                f"{self.name!r}: {file} could not be fetched from the hub, try again: {_reason(error)}"
            ) from error


class _HubSilent(Exception):
    """The hub was not asked, or did not tell what a repository has; the message says why, and what to do."""


def _cached_folder(name: str, revision: str | None, cache_dir: str | Path | None) -> Path | None:
    """The folder of a revision in the hub's cache, when it holds something of a checkpoint."""
    from huggingface_hub import try_to_load_from_cache

    for file in (*CONFIG_FILES, *VOCABULARY_FILES, *WEIGHT_FILES, "modules.json"):
        path = try_to_load_from_cache(name, file, cache_dir=cache_dir, revision=revision)
        if isinstance(path, str):
            return Path(path).parent
    return None


def _reason(error: BaseException) -> str:
    """In one line, what the network said at first: the client library wraps it several times."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return " ".join(str(error).split())[:200] or type(error).__name__
