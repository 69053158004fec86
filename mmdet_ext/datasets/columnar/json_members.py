"""Reading the top-level lists of a JSON file that is larger than memory."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

CHUNK_BYTES = 1 << 22

_SPACE = re.compile(r'[ \t\n\r]*')
_parse = json.JSONDecoder().raw_decode


class Member(NamedTuple):
    """An entry of a top-level list, or any other value of the top-level object.

    Attributes:
        key: Key in the top-level object.
        value: The parsed JSON.
        start: First byte in the file.
        length: Number of bytes.
    """

    key: str
    value: Any
    start: int
    length: int


def iterate_members(file: BinaryIO, name: str | Path) -> Iterator[Member]:
    """Parse a JSON object of long lists, holding one entry in memory at a time.

    Args:
        file: The open file, UTF-8.
        name: What errors call it.

    Yields:
        Each entry of each list, and each other value as a whole, in the order of the file.

    Raises:
        ValueError: It is not a valid JSON object.
    """
    window = _Window(file, name)
    if window.next_character() != '{':
        window.fail('expected a COCO object, {"images": ..., "annotations": ..., ...}')
    for _ in window.entries('}'):
        key = window.value().value
        if window.next_character() != ':':
            window.fail('expected a colon')
        window.position += 1
        if window.next_character() == '[':
            for _ in window.entries(']'):
                yield window.value()._replace(key=key)
        else:
            yield window.value()._replace(key=key)


class _Window:
    """The part of the file that is being parsed, as Latin-1 text: a character is a byte."""

    def __init__(self, file: BinaryIO, name: str | Path) -> None:
        self.file, self.name = file, name
        self.text, self.position, self.offset = '', 0, 0

    def entries(self, end: str) -> Iterator[None]:
        """Stop at each entry of the list or object that begins here, for the caller to parse it."""
        self.position += 1
        while self.next_character() != end:
            yield
            separator = self.next_character()
            if separator == ',':
                self.position += 1
            elif separator != end:
                self.fail(f"expected a comma or '{end}'")
        self.position += 1

    def next_character(self) -> str:
        """Skip white space; an empty string at the end of the file."""
        while True:
            self.position = _SPACE.match(self.text, self.position).end()
            if self.position < len(self.text) or not self._read_on():
                return self.text[self.position : self.position + 1]

    def value(self) -> Member:
        self.next_character()
        while True:
            problem = 'the file ends too early'
            try:
                value, end = _parse(self.text, self.position)
            except json.JSONDecodeError as error:
                problem = error.msg
            else:
                if end < len(self.text) and self.text[end] not in '.eE':  # or else a number goes on
                    break
            if not self._read_on():
                self.fail(problem)
        start, text = self.position, self.text[self.position : end]
        if not text.isascii():
            value = json.loads(text.encode('latin-1'))
        self.position = end
        return Member('', value, self.offset + start, end - start)

    def _read_on(self) -> bool:
        """Drop what was parsed and read more: ever more, so that a huge value is not parsed often."""
        self.offset += self.position
        self.text, self.position = self.text[self.position :], 0
        chunk = self.file.read(max(CHUNK_BYTES, len(self.text)))
        self.text += chunk.decode('latin-1')
        return bool(chunk)

    def fail(self, problem: str) -> None:
        raise ValueError(
            f'{self.name}: not valid JSON at byte {self.offset + self.position} ({problem}); write '
            'the file again.'
        )
