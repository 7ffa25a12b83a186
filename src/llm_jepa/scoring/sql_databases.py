"""Where the databases of Spider are: beside its rows in the folder of data, zipped or as Spider ships them."""

import re
import zipfile
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from llm_jepa.errors import UserError

ARCHIVE = "spider_databases.zip"
FOLDERS = ("spider_databases", "database")
"""The unpacked archive, and Spider's own folder."""

CACHED = 64 * 1024 * 1024
"""Bytes of the databases held in memory; Spider's have 0.1 MB on average and at most 30 MB."""

LARGEST = 200 * 1024 * 1024
"""Bytes of a database: what still fits in the heap of the process that runs queries, and in this one's cache."""

_NAME = re.compile(r"[\w-]{1,100}")


@dataclass(frozen=True, slots=True)
class Databases:
    """The databases in a folder of data. Only this class reads their files, and nothing writes them.

    Attributes:
        folder: where `spider_databases.zip` (with `<db_id>/<db_id>.sqlite` in it), `spider_databases/` or `database/`
            (with the same paths in them) is looked for, in that order.
    """

    folder: Path
    _recent: OrderedDict[str, bytes] = field(default_factory=OrderedDict[str, bytes], init=False, repr=False, compare=False)

    @property
    def advice(self) -> str | None:
        """What to tell the user when there are no databases at all, in a sentence; else None."""
        if any((self.folder / place).exists() for place in (ARCHIVE, *FOLDERS)):
            return None
        return (
            f"{self.folder}: there are no Spider databases, so the execution of queries is not measured; put {ARCHIVE} "
            "there (with <db_id>/<db_id>.sqlite in it), or the folder 'database' of Spider"
        )

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a database file; None when there is none of that name, or the name is no plain name.

        Raises:
            UserError: the archive or the file is there and cannot be read.
        """
        if not _NAME.fullmatch(name):
            return None
        if name not in self._recent:
            found = self._find(name)
            if found is None:
                return None
            self._recent[name] = found
            while len(self._recent) > 1 and sum(map(len, self._recent.values())) > CACHED:
                self._recent.popitem(last=False)
        self._recent.move_to_end(name)
        return self._recent[name]

    def _find(self, name: str) -> bytes | None:
        archive = self.folder / ARCHIVE
        try:
            found = _in_archive(archive, f"{name}/{name}.sqlite") if archive.is_file() else None
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
            raise UserError(f"{archive}: '{name}' cannot be read ({error}); replace the file by a sound copy") from None
        if found is not None:
            return found
        files = (self.folder / folder / name / f"{name}.sqlite" for folder in FOLDERS)
        return next((_in_folder(file) for file in files if file.is_file()), None)


def _in_archive(archive: Path, member: str) -> bytes | None:
    with zipfile.ZipFile(archive) as members:
        if member not in members.namelist():
            return None
        _check(members.getinfo(member).file_size, f"{archive}: '{member}'")
        return members.read(member)


def _in_folder(file: Path) -> bytes:
    try:
        _check(file.stat().st_size, str(file))
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error}); check its permissions") from None


def _check(size: int, what: str) -> None:
    if size > LARGEST:
        raise UserError(
            f"{what} has {size} bytes, more than the {LARGEST} a database may have; remove it or make it smaller"
        )
