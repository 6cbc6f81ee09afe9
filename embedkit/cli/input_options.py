"""Define the options that name input files, and set how they are read and encoded."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from embedkit.cli.console import input_names
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.data.folders.folder_settings import FolderSettings
    from embedkit.data.text.records import TextFormat

InputFormat = Literal["text", "jsonl", "csv", "tsv", "parquet", "arrow"]
Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", help="Paths, URLs or -; standard input when piped.", show_default=False),
]

FilesOrFolders = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE", help="Paths, folders, URLs or -; standard input when piped.", show_default=False
    ),
]


@dataclass(frozen=True)
class TextOptions:
    """Options that set how text inputs are read."""

    panel: ClassVar = "Text"

    input_format: Annotated[
        InputFormat | None, typer.Option(help="Format of the inputs [by their names].")
    ] = None
    id_field: Annotated[str | None, typer.Option(help="Field that holds the id [_id, id].")] = None
    text_field: Annotated[str | None, typer.Option(help="Field that holds the text [title + text].")] = None
    on_error: Annotated[
        Literal["stop", "skip"], typer.Option(help="What to do with a record that cannot be read.")
    ] = "stop"

    def format(self) -> TextFormat:
        """Return the library's settings."""
        from embedkit.data.text.records import TextFormat

        return TextFormat(self.input_format, self.id_field, self.text_field, self.on_error)


@dataclass(frozen=True)
class FolderOptions:
    """Options that set which files of a folder are read, and how they are divided into passages."""

    panel: ClassVar = "Folders"

    chunk: Annotated[
        int | None, typer.Option(metavar="TOKENS", help="Most tokens per passage. [200]", show_default=False)
    ] = None
    overlap: Annotated[
        int | None,
        typer.Option(
            metavar="TOKENS", help="Tokens repeated from the passage before. [0]", show_default=False
        ),
    ] = None
    headings: Annotated[
        bool | None,
        typer.Option(
            "--headings/--no-headings",
            help="Whether a passage is embedded with the headings above it. [headings]",
            show_default=False,
        ),
    ] = None
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Read only these files, for example '*.md'; repeatable."),
    ] = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Skip these files; repeatable."),
    ] = None

    def settings(self) -> FolderSettings:
        """Return the library's settings."""
        from embedkit.data.folders.folder_settings import FolderSettings

        return FolderSettings(**self.given())

    def given(self) -> dict[str, Any]:
        """Return the settings that were given, by their names in the library."""
        values = {
            "chunk": self.chunk,
            "overlap": self.overlap,
            "headings": self.headings,
            "include": tuple(self.include) if self.include else None,
            "exclude": tuple(self.exclude) if self.exclude else None,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class TextFiles:
    """Options that name files of text, and set how they are read."""

    files: Files = None
    reading: TextOptions

    @property
    def names(self) -> list[str]:
        """The named files, or standard input if it is piped; raises UsageError if it is a terminal."""
        return input_names(self.files)


@dataclass(frozen=True, kw_only=True)
class TextsOrFolders(TextFiles):
    """Options that name files and folders of text, and set how they are read."""

    files: FilesOrFolders = None
    folders: FolderOptions

    def format(self) -> TextFormat:
        """Return the library's settings for reading the inputs; raise UsageError for a setting of folders if
        no input is a folder.
        """
        given = self.folders.given()
        if given and not any(map(os.path.isdir, self.names)):
            raise UsageError("applies only to folders", where=f"`{next(iter(given))}`")
        return replace(self.reading.format(), folders=self.folders.settings())


@dataclass(frozen=True, kw_only=True)
class Inputs(TextsOrFolders):
    """Options that name files of vectors, or files and folders of text and the encoder that encodes it."""

    encoding: EncoderOptions


@dataclass(frozen=True)
class TextEncoding:
    """Options that set how text is read and encoded."""

    reading: TextOptions
    encoding: EncoderOptions
