"""What may stand in an address where a route has a parameter: any text, and a number that can be one."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor


class _Any(Convertor[str]):
    """Any text: an id may hold slashes and ends of lines."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _Number(Convertor[int]):
    """A whole number, but of no thousands of digits, which Python refuses to read."""

    regex = "[0-9]{1,1000}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


def know_parameters() -> None:
    """Let routes have `{name:any}` and `{name:number}`."""
    register_url_convertor("any", _Any())
    register_url_convertor("number", _Number())
