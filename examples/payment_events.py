"""Writes `payments/events.jsonl`: a fortnight at a small marketplace, for trying the payments bundle.

    python examples/payment_events.py            # writes the file anew
    python examples/payment_events.py --check    # exit 1 if it differs

Nothing is random: customers buy by the calendar below, and each fraud is a scene of its own. Addresses are
those set aside for documentation, which `payments/lists/geo.csv` puts on the map.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "payments" / "events.jsonl"
BEGIN = datetime(2026, 4, 1, 8, tzinfo=UTC)
BERLIN, PARIS, MADRID = "192.0.2.7", "192.0.2.70", "192.0.2.200"
SAO_PAULO, SINGAPORE, VPN = "198.51.100.9", "198.51.100.200", "203.0.113.9"

CUSTOMERS = {
    "ann": ("2021-03-05", "DE", BERLIN),
    "bob": ("2019-11-20", "DE", "192.0.2.12"),
    "cem": ("2024-06-01", "DE", "192.0.2.130"),
    "dora": ("2022-01-17", "FR", PARIS),
    "eve": ("2020-08-30", "ES", MADRID),
    "finn": ("2023-02-11", "DE", "192.0.2.21"),
    "gina": ("2025-12-24", "DE", "2001:db8:1::7"),
    "hal": ("2018-05-09", "DE", "192.0.2.33"),
}
"""Since when they have been customers, their country, and their address at home."""

Event = dict[str, Any]


class Book:
    """The events as they are written down, in any order."""

    def __init__(self) -> None:
        self._events: list[tuple[datetime, int, Event]] = []

    def add(self, kind: str, who: str, when: datetime, /, **own: Any) -> None:
        """Write down one act: at home and on the customer's own device, unless `ip` or `device` says else."""
        since, home, address = CUSTOMERS.get(who, ("2026-04-13", "DE", None))
        event: Event = {
            "type": kind,
            "at": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "user": {
                "id": who,
                "since": since,
                "country": home,
                "email": own.pop("email", f"{who}@posteo.de"),
            },
            "device": {"id": own.pop("device", f"{who}-phone")},
            "ip": own.pop("ip", address),
        }
        self._events.append((when, len(self._events), event | own))

    def pay(self, who: str, when: datetime, amount: float, card: str, declined: str = "", **own: Any) -> None:
        """Write down an attempt to pay; `declined` is the bank's reason when it said no."""
        own.setdefault("merchant", "corner-shop")
        own["card"] = {"fingerprint": card, "bin": own.pop("bin", "411111")}
        status: Event = {"status": "declined", "reason": declined} if declined else {"status": "authorised"}
        self.add("payment", who, when, amount=amount, **status, **own)

    def lines(self) -> Iterator[str]:
        """All events in order of time, numbered, each a line of JSON."""
        for number, (_, _, event) in enumerate(sorted(self._events, key=lambda e: e[:2]), 1):
            yield json.dumps({"id": f"p{number:03}", **event}) + "\n"


def at(day: int, clock: str, seconds: int = 0) -> datetime:
    """A moment of the fortnight: the day from 1 on, a clock `hh:mm`, and seconds after it."""
    hour, minute = map(int, clock.split(":"))
    return BEGIN.replace(hour=hour, minute=minute) + timedelta(days=day - 1, seconds=seconds)


def everyday(book: Book) -> None:
    """Everybody signs in twice a week or so and buys something each time, and once at a café's till."""
    for i, who in enumerate(CUSTOMERS):
        for day in range(1 + i % 3, 13, 4):
            book.add("login", who, at(day, "09:00", 400 * i), success=True)
            book.pay(who, at(day, "09:05", 400 * i), 12.5 + 7 * i + day, f"card-{who}")
        book.pay(who, at(6, "12:30", 55 * i), 1 + i / 4, f"card-{who}", device="till-berlin-1", ip=BERLIN)


def honest_oddities(book: Book) -> None:
    """What a hasty rule would stop: a holiday, a VPN, a mistyped code, a lost password, a lost parcel."""
    book.add("login", "dora", at(9, "18:00"), success=True, ip=BERLIN)
    book.add("login", "dora", at(9, "18:40"), success=True, ip="203.0.113.200")
    book.add("login", "eve", at(11, "07:00"), success=True, ip=SINGAPORE, device="eve-tablet")
    book.pay("eve", at(11, "07:30"), 180, "card-eve", ip=SINGAPORE, merchant="hotel")
    for i in range(3):
        book.pay("hal", at(8, "20:00", 40 * i), 59.9, "card-hal", declined="wrong_code")
    book.pay("hal", at(8, "20:02", 30), 59.9, "card-hal")
    book.add("password_reset", "finn", at(11, "21:00"))
    book.add("login", "finn", at(11, "21:03"), success=True)
    book.add("address_change", "finn", at(11, "21:20"), address={"country": "DE"})
    book.add("refund", "gina", at(9, "10:00"), merchant="m1", card={"fingerprint": "card-gina"}, amount=20.5)
    for i, exists in enumerate((False, False, True)):
        book.add("gift_check", "bob", at(7, "19:00", 20 * i), gift=f"gift-b{i}", exists=exists)
    book.add("gift_redeem", "bob", at(7, "19:05"), gift="gift-b2", amount=25)


def card_testing(book: Book) -> None:
    """A device tries eleven cards, one works, and somebody else buys a camera with it three days later."""
    for i in range(11):
        where = {"ip": VPN, "device": "dev-t", "merchant": "charity"}
        card, bank = f"stolen-{i}", f"4{i:02}777"
        book.pay("x1", at(10, "02:00", 25 * i), 1, card, declined="wrong_code", bin=bank, **where)
    book.pay("x1", at(10, "02:05"), 1, "stolen-11", ip=VPN, device="dev-t", merchant="charity", bin="411777")
    book.pay("x2", at(13, "11:00"), 849, "stolen-11", ip="203.0.113.77", device="dev-u", merchant="cameras")


def range_attack(book: Book) -> None:
    """Numbers of one range are counted up from ever new devices; one is right."""
    for i in range(12):
        why = "wrong_expiry" if i % 4 == 3 else "no_such_card"
        where = {"ip": f"203.0.113.{20 + i}", "device": f"dev-r{i}", "merchant": "charity", "bin": "520082"}
        book.pay(f"r{i}", at(12, "03:00", 20 * i), 1.2, f"range-{i}", declined=why, **where)
    book.pay("r99", at(12, "03:05"), 1.2, "range-99", ip="203.0.113.99", device="dev-r99", bin="520082")
    book.pay("hal", at(12, "03:06"), 64, "card-hal-2", bin="520082")


def takeovers(book: Book) -> None:
    """Ann's account is nearly emptied; Bob's password is guessed; Eve is in two places; many are tried."""
    away = {"ip": SAO_PAULO, "device": "dev-a"}
    book.add("password_reset", "ann", at(13, "15:00"), **away)
    book.add("login", "ann", at(13, "15:02"), success=True, **away)
    book.add("payout", "ann", at(13, "15:10"), amount=730, account="acc-9", **away)
    book.add("address_change", "ann", at(13, "15:12"), address={"country": "BR"}, **away)
    book.add("payout", "ann", at(13, "19:00"), amount=730, account="acc-9", **away)
    book.add("verified", "ann", at(13, "20:00"))
    book.add("payout", "ann", at(13, "20:05"), amount=730, account="acc-1")
    for i in range(6):
        book.add("login", "bob", at(11, "04:00", 8 * i), success=False, ip="203.0.113.50", device="dev-b")
    book.add("login", "bob", at(11, "04:01"), success=True, ip="203.0.113.50", device="dev-b")
    book.add("login", "eve", at(11, "08:10"), success=True, ip=BERLIN, device="dev-e")
    for i in range(12):
        book.add(
            "login", f"list-{i}", at(13, "05:00", 3 * i), success=i == 11, ip="203.0.113.66", device="dev-s"
        )


def gift_cards(book: Book) -> None:
    """Codes are guessed and one is spent; another account empties six cards."""
    for i in range(10):
        book.add(
            "gift_check",
            "x3",
            at(12, "22:00", 6 * i),
            gift=f"gift-{i}",
            exists=i == 6,
            ip=VPN,
            device="dev-g",
        )
    book.add("gift_redeem", "x3", at(12, "22:02"), gift="gift-6", amount=100, ip=VPN, device="dev-g")
    for i in range(6):
        book.add("gift_redeem", "x4", at(13, "23:00", 50 * i), gift=f"gift-d{i}", amount=50, ip=VPN)


def refunds(book: Book) -> None:
    """Cem sends everything back, and the last refund is to go to another card."""
    for i in range(3):
        book.pay("cem", at(6, "17:00", 60 * i), 120, "card-cem", merchant="shoes")
    for i in range(6):
        card = "card-other" if i == 5 else "card-cem"
        reason = "not_received" if i < 2 else "damaged"
        how: Event = {"merchant": "shoes", "card": {"fingerprint": card}, "amount": 120, "reason": reason}
        book.add("refund", "cem", at(12, "10:00", 1800 * i), **how)


def risky(book: Book) -> None:
    """A new account, thrown-away mail, a VPN and a large first payment; and gift cards, one after another."""
    book.pay(
        "x5", at(13, "01:00"), 480, "card-x5", ip="203.0.113.88", email="q@mailinator.com", merchant="phones"
    )
    for i in range(5):
        book.pay("x6", at(13, "02:00", 900 * i), 50, "card-x6", ip=MADRID, kind="gift_card")


def broken(book: Book) -> None:
    """What no rule should see: a status nobody told us of, an amount in words, no card."""
    book.add("payment", "gina", at(5, "10:00"), status="pending", amount=5)
    book.add(
        "payment",
        "gina",
        at(5, "10:01"),
        status="declined",
        amount="five",
        card={"fingerprint": "c", "bin": "1"},
    )
    book.add("payment", "gina", at(5, "10:02"), status="authorised", amount=5, merchant="corner-shop")


def lines() -> str:
    """The whole file."""
    book = Book()
    for scene in (
        everyday,
        honest_oddities,
        card_testing,
        range_attack,
        takeovers,
        gift_cards,
        refunds,
        risky,
        broken,
    ):
        scene(book)
    return "".join(book.lines())


def main() -> None:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the file differs")
    if parser.parse_args().check:
        raise SystemExit(
            0 if FILE.read_text(encoding="utf-8") == lines() else f"{FILE} is not what it should be"
        )
    FILE.write_text(lines(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
