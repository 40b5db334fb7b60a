"""Lists with columns: which row is the closest, what cells may hold, and what is said of bad tables."""

from __future__ import annotations

import pytest

from quell.grammar.types import BOOL, DURATION, IP, NUMBER, TEXT, TIME, Type, entity, list_of
from tests.list_loading import good, load, said, told


def test_a_table_by_network() -> None:
    made = good(
        "cidrs",
        '# where\nlat,cidr,country\n1.5,10.0.0.0/8,AA\n-2,10.1.0.0/16,"B, ""B"""\n,2001:db8::/32,\n',
        ("country", TEXT),
        ("lat", NUMBER),
    )
    assert made.row("10.2.0.1") == {"country": "AA", "lat": 1.5}
    assert made.row("10.1.0.1") == {"country": 'B, "B"', "lat": -2}
    assert made.row("2001:db8::1") == {"country": None, "lat": None}
    assert made.row("9.9.9.9") is None
    assert made.contains("10.1.0.1")
    assert made.found("10.1.0.1") == ["10.1.0.0/16", "10.0.0.0/8"]
    changed = made.row("10.2.0.1")
    assert changed is not None
    changed["lat"] = 0
    assert made.row("10.2.0.1") == {"country": "AA", "lat": 1.5}


def test_tables_by_other_keys() -> None:
    domains = good("domains", "domain,tier\nevil.com,1\na.evil.com,2\n", ("tier", NUMBER))
    assert domains.row("https://x.a.evil.com/") == {"tier": 2}
    assert domains.row("b.evil.com") == {"tier": 1}
    prefixes = good("prefixes", "prefix,zone\n+4,A\n+44,B\n", ("zone", TEXT))
    assert prefixes.row("+4420") == {"zone": "B"}
    exact = good("exact", "sku;x,name,key\n1,pen,a-1\n", ("name", TEXT))
    assert exact.row("a-1") == {"name": "pen"}
    assert exact.row("1") is None
    assert good("exact", "a\nb").row("a") is None


def test_cells_of_every_type() -> None:
    kinds = {
        "n": NUMBER,
        "t": TEXT,
        "b": BOOL,
        "at": TIME,
        "d": DURATION,
        "ip": IP,
        "u": entity("User"),
        "e": Type("enum", values=("x", "y")),
    }
    made = good(
        "exact",
        "key,n,t,b,at,d,ip,u,e\n"
        "1,80%,a b,TRUE,2024-05-01,1h30m,::FFFF:1.2.3.4,007,x\n"
        "2,1e3,é,no,2024-05-01T12:00:00.5+02:00,-90s,2001:DB8:0:0::1,u,y\n"
        "3,-0.5,,0,1969-12-31 23:59:59.9999995Z,800ms,10.0.0.1,,\n",
        *kinds.items(),
    )
    hour = 3_600_000_000
    assert made.row("1") == {
        "n": 0.8,
        "t": "a b",
        "b": True,
        "at": 1_714_521_600_000_000,
        "d": hour + hour // 2,
        "ip": "1.2.3.4",
        "u": "007",
        "e": "x",
    }
    second = made.row("2")
    assert second is not None
    assert second["at"] == 1_714_521_600_000_000 + 10 * hour + 500_000
    assert second["d"] == -90_000_000
    assert second["ip"] == "2001:db8::1"
    third = made.row("3")
    assert third is not None
    assert (third["t"], third["at"], third["b"], third["u"], third["e"]) == (None, 0, False, None, None)


@pytest.mark.parametrize(
    ("type_", "cell"),
    [
        (NUMBER, "abc"),
        (NUMBER, "1e999"),
        (NUMBER, "nan"),
        (NUMBER, "1_000"),
        (NUMBER, "٣"),
        (NUMBER, "1e3%"),
        (BOOL, "maybe"),
        (TIME, "yesterday"),
        (TIME, "2024-02-30"),
        (TIME, "2024-01-01T25:00"),
        (TIME, "0001-01-01T00:00+01:00"),
        (DURATION, "5"),
        (DURATION, "9999999d"),
        (IP, "1.2.3"),
        (IP, "fe80::1%eth0"),
        (Type("enum", values=("x",)), "z"),
    ],
)
def test_cells_that_fit_no_type(type_: Type, cell: str) -> None:
    loaded = load("exact", f"key,c\nok,\nk,{cell}\n", ("c", type_))
    assert loaded.list is None
    ((line, message),) = [(p.line, p.message) for p in loaded.problems]
    assert line == 3
    assert message.startswith(f"`c` is `{cell}`, and should be ")


def test_tables_that_are_none() -> None:
    columns = (("country", TEXT), ("lat", NUMBER))
    assert said("exact", "a,b\n", *columns) == [
        (1, "there is no column `country`"),
        (1, "there is no column `lat`"),
    ]
    loaded = load("exact", "key,county,lat\nx,y,1\n", *columns)
    assert [p.hint for p in loaded.problems] == ["did you mean `county`?"]
    assert said("exact", "key;country;lat\n", *columns) == [
        (1, "the cells of a table are separated by commas")
    ]
    assert said("exact", "key,lat,country,lat\n", *columns) == [(1, "two columns are called `lat`")]
    assert said("exact", "", *columns) == [(0, "the file has no line that names its columns")]
    head = "key,country,lat\n"
    assert said("exact", head + "x,y\n", *columns) == [
        (2, "the line has 2 cells, and the first line names 3")
    ]
    assert said("exact", head + 'x,"y,1\n', *columns) == [(2, 'a `"` of this line does not close on it')]
    assert said("exact", head + 'x,"y"z,1\n', *columns) == [(2, "the line is no CSV")]
    assert said("exact", head + ",y,1\n", *columns) == [(2, "the row has no key")]
    assert told(load("exact", head + "x,y,1\nx,y,1\nx,z,1\n", *columns)) == [
        (3, "duplicate-entry", "`x` is already on line 2"),
        (4, "bad-list-file", "`x` is already on line 2"),
    ]
    assert said("words", head, *columns) == [(0, "words occur in text, so they cannot have columns")]
    assert said("exact", "key,a\n", ("a", list_of(TEXT))) == [(0, "`a`: a column cannot be a list<text>")]
    assert told(load("exact", head, *columns)) == [(0, "empty-list", "the list has no entries")]


def test_an_unknown_kind_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="no kind of list"):
        load("globs", "")
