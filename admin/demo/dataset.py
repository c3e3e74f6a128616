"""The sample business of the demo: four tenants' customers, products, orders, order items and notes.

Deterministic: the same rows on every machine, from one seed per tenant. Rows are tuples in the column order of
`COLUMNS`; where they are stored, and under which tenant column, is `schema.py`'s concern.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

DATASET_VERSION = 1  # raise it when the rows or the tables change: an older .demo is then built anew

FIRST_DAY = datetime(2025, 1, 6, 8, 0, tzinfo=UTC)
LAST_DAY = datetime(2026, 10, 30, 18, 0, tzinfo=UTC)
CENT = Decimal("0.01")

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "customers": ("id", "name", "email", "phone", "card", "country", "segment", "created_at"),
    "products": ("id", "sku", "name", "category", "price", "stock"),
    "orders": ("id", "customer_id", "region", "status", "total", "ordered_at"),
    "order_items": ("order_id", "line_no", "product_id", "quantity", "unit_price"),
    "notes": ("id", "customer_id", "author", "body", "visibility", "created_at"),
}

COUNTRIES: tuple[tuple[str, str, str, str], ...] = (
    ("AT", "Austria", "EMEA", "EUR"),
    ("AU", "Australia", "APAC", "AUD"),
    ("BR", "Brazil", "AMER", "BRL"),
    ("CA", "Canada", "AMER", "CAD"),
    ("CH", "Switzerland", "EMEA", "CHF"),
    ("DE", "Germany", "EMEA", "EUR"),
    ("ES", "Spain", "EMEA", "EUR"),
    ("FR", "France", "EMEA", "EUR"),
    ("GB", "United Kingdom", "EMEA", "GBP"),
    ("IN", "India", "APAC", "INR"),
    ("IT", "Italy", "EMEA", "EUR"),
    ("JP", "Japan", "APAC", "JPY"),
    ("MX", "Mexico", "AMER", "MXN"),
    ("NL", "Netherlands", "EMEA", "EUR"),
    ("PL", "Poland", "EMEA", "PLN"),
    ("SE", "Sweden", "EMEA", "SEK"),
    ("SG", "Singapore", "APAC", "SGD"),
    ("US", "United States", "AMER", "USD"),
    ("ZA", "South Africa", "EMEA", "ZAR"),
)
REGION = {code: region for code, _, region, _ in COUNTRIES}

GIVEN = (
    "Ada Amara Anders Beatriz Björn Chiara Daniel Elena Farid Grace Hana Hiro Ingrid Isaac Jana João Kofi Léa Lukas "
    "Mai Marta Nadia Nils Olga Omar Paula Priya Quentin Rosa Samir Sofia Tomás Uma Victor Wei Yara Yusuf Zoë"
)
FAMILY = (
    "Abe Almeida Bauer Bergström Blanc Castillo Chen Costa Dubois Eriksen Ferrari Fischer García Haddad Hansen Ito "
    "Ivanova Jansen Khan Kowalski Lefèvre Lindqvist Martín Mbeki Moreau Müller Nakamura Novak O'Brien Okafor Patel "
    "Petrov Rossi Santos Schmidt Silva Tanaka Varga Weber Wójcik Yılmaz Zhang"
)
FIRST_NAMES, LAST_NAMES = GIVEN.split(), FAMILY.split()
SEGMENTS = ("consumer", "consumer", "consumer", "small business", "small business", "enterprise")
STATUSES = ("delivered",) * 12 + ("shipped",) * 3 + ("paid",) * 3 + ("open",) * 2 + ("cancelled", "returned")
NOTES = (
    "Asked for the invoice to be sent again; sent the copy.",
    "Prefers deliveries on Friday mornings.",
    "Complained about a late parcel, got 5 % off the next order.",
    "Wants a quote for 50 × {product}.",
    "Called about the warranty of {product}; it runs until March.",
    "Credit line raised to 10,000 after two years without a reminder.",
    "Do not call before 10 o'clock.",
    "Reference customer: may be named in the case study on {product}.",
    "Payment reminder sent; promised to pay by the end of the month.",
    "Considering a competitor's offer, follow up next week.",
)


@dataclass(frozen=True, slots=True)
class Business:
    """What one tenant sells, and how much of it. `goods` maps a category to (product, typical price)."""

    id: str
    domain: str
    seed: int
    customers: int
    orders: int
    notes: int
    staff: tuple[str, ...]
    countries: tuple[str, ...]
    goods: Mapping[str, tuple[tuple[str, str], ...]]


BUSINESSES: tuple[Business, ...] = (
    Business(
        "acme", "acme.example", 11, 640, 1900, 520, ("alice", "rita", "walt"),
        ("US", "US", "US", "CA", "MX", "BR", "GB", "DE", "FR", "JP"),
        {
            "anvils": (("Anvil 20 kg", "89.90"), ("Anvil 50 kg", "199.00"), ("Anvil stand", "59.00")),
            "traps": (("Spring trap", "24.50"), ("Giant rubber band", "12.75"), ("Portable hole", "149.00")),
            "rockets": (("Rocket skates", "349.00"), ("Bottle rocket, 12 pcs", "18.20"), ("Fuse, 10 m", "6.40")),
            "tools": (("Sledge hammer", "42.00"), ("Rope, 50 m", "31.90"), ("Tool belt", "38.00")),
        },
    ),
    Business(
        "globex", "globex.example", 23, 480, 1500, 430, ("bob", "hank"),
        ("DE", "DE", "AT", "CH", "NL", "FR", "IT", "US", "SG"),
        {
            "sensors": (("Flow sensor", "74.00"), ("Pressure sensor", "66.50"), ("Gas sensor", "118.00")),
            "drives": (("Servo drive 2 kW", "540.00"), ("Stepper drive", "96.00"), ("Brake resistor", "41.00")),
            "cabling": (("M12 cable, 5 m", "14.90"), ("Junction box", "22.00"), ("Cable duct, 2 m", "9.80")),
        },
    ),
    Business(
        "initech", "initech.example", 37, 420, 1300, 380, ("carol", "peter", "milton"),
        ("US", "US", "CA", "IN", "GB", "AU"),
        {
            "office": (("Red stapler", "16.90"), ("Report covers, 100 pcs", "21.50"), ("Desk lamp", "34.00")),
            "printing": (("Laser printer", "289.00"), ("Toner, black", "79.00"), ("Letter paper, 2500", "24.90")),
            "seats": (("Office chair", "219.00"), ("Foot rest", "37.00"), ("Standing mat", "55.00")),
        },
    ),
    Business(
        "umbrella", "umbrella.example", 41, 380, 1200, 350, ("dave", "jill"),
        ("GB", "FR", "ES", "SE", "PL", "ZA", "JP", "US"),
        {
            "lab": (("Centrifuge", "1290.00"), ("Pipette tips, 960 pcs", "48.00"), ("Lab coat", "29.50")),
            "reagents": (("Buffer solution, 1 l", "17.30"), ("Agar, 500 g", "62.00"), ("Ethanol, 5 l", "39.00")),
            "safety": (("Face shield", "11.20"), ("Nitrile gloves, 200", "19.80"), ("Eye wash", "44.00")),
        },
    ),
)  # fmt: skip

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of one tenant, by table."""

    tables: Mapping[str, list[Row]]

    @property
    def count(self) -> int:
        return sum(len(rows) for rows in self.tables.values())


def rows_of(business: Business) -> Rows:
    """Make one tenant's rows; ids start at 1 for every tenant, as they would in a database of its own."""
    rng = random.Random(business.seed)  # noqa: S311  sample data, not secrets
    customers = list(_customers(rng, business))
    products = list(_products(business))
    orders, items = _orders(rng, business, customers, products)
    notes = list(_notes(rng, business, products))
    return Rows({"customers": customers, "products": products, "orders": orders, "order_items": items, "notes": notes})


def _customers(rng: random.Random, business: Business) -> Iterator[Row]:
    for id_ in range(1, business.customers + 1):
        first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
        country = rng.choice(business.countries)
        email = f"{_ascii(first)}.{_ascii(last)}{id_}@{rng.choice(('mail', 'post', 'work'))}.example"
        phone = f"+{rng.randint(1, 98)} {rng.randint(100, 999)} {rng.randint(1_000_000, 9_999_999)}"
        created = _moment(rng, FIRST_DAY - timedelta(days=700), FIRST_DAY)
        yield id_, f"{first} {last}", email, phone, _card(rng), country, rng.choice(SEGMENTS), created


def _products(business: Business) -> Iterator[Row]:
    variants = (("", "1.00"), (" (pro)", "1.60"), (" (refurbished)", "0.65"))
    id_ = 0
    for category, goods in business.goods.items():
        for name, price in goods:
            for suffix, factor in variants:
                id_ += 1
                cost = (Decimal(price) * Decimal(factor)).quantize(CENT)
                yield id_, f"{business.id[:2].upper()}-{id_:04d}", name + suffix, category, cost, (id_ * 37) % 240


def _orders(
    rng: random.Random, business: Business, customers: list[Row], products: list[Row]
) -> tuple[list[Row], list[Row]]:
    orders: list[Row] = []
    items: list[Row] = []
    moments = sorted(_moment(rng, FIRST_DAY, LAST_DAY) for _ in range(business.orders))
    for id_, moment in enumerate(moments, start=1):
        customer = rng.choice(customers)
        total = Decimal(0)
        for line_no, product in enumerate(rng.sample(products, rng.choice((1, 1, 2, 2, 3, 4))), start=1):
            quantity, price = rng.choice((1, 1, 1, 2, 3, 5)), Decimal(str(product[4]))
            items.append((id_, line_no, product[0], quantity, price))
            total += quantity * price
        region = REGION[str(customer[5])]
        orders.append((id_, customer[0], region, rng.choice(STATUSES), total.quantize(CENT), moment))
    return orders, items


def _notes(rng: random.Random, business: Business, products: list[Row]) -> Iterator[Row]:
    for id_ in range(1, business.notes + 1):
        body = rng.choice(NOTES).format(product=rng.choice(products)[2])
        visibility = rng.choice(("team", "team", "team", "private"))
        created = _moment(rng, FIRST_DAY, LAST_DAY)
        yield id_, rng.randint(1, business.customers), rng.choice(business.staff), body, visibility, created


def _moment(rng: random.Random, first: datetime, last: datetime) -> datetime:
    return first + timedelta(seconds=rng.randrange(int((last - first).total_seconds())))


def _ascii(name: str) -> str:
    plain = name.lower().translate(str.maketrans("áãéèëíöøóñüçıåłé", "aaeeeiooonuciale"))
    return "".join(letter for letter in plain if letter.isascii() and letter.isalpha())


def _card(rng: random.Random) -> str:
    """Return a card number in the range that card networks keep for tests, with a valid check digit."""
    digits = [4, 0, 0, 0, 0, 0, *(rng.randrange(10) for _ in range(9))]
    total = sum(sum(divmod(d * 2, 10)) if place % 2 == 0 else d for place, d in enumerate(digits))
    text = "".join(map(str, [*digits, -total % 10]))
    return " ".join(text[start : start + 4] for start in range(0, 16, 4))
