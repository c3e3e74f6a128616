"""Statements made to cost the gateway time or memory, of the names that say how."""

from __future__ import annotations


def hostile_statements() -> dict[str, str]:
    """Each is refused, or answered after all; none may be felt by others. `orders` is the demo's."""
    ctes = ",".join(f"c{n} AS (SELECT {n})" for n in range(10_000))
    return {
        "a megabyte of string": "SELECT '" + "x" * 990_000 + "'",
        "30,000 rows": "SELECT count(*) FROM (VALUES " + ",".join(f"({n},'{n}')" for n in range(30_000)) + ") v",
        "a megabyte of minus": "SELECT " + "- " * 490_000 + "1",
        "brackets, 10,000 deep": "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
        "sub-selects, 1,000 deep": "SELECT * FROM " + "(SELECT * FROM " * 1000 + "orders" + ") x" * 1000,
        "arrays, 10,000 deep": "SELECT ARRAY" + "[" * 10_000 + "1" + "]" * 10_000,
        "CASE, 3,000 deep": "SELECT " + "CASE WHEN true THEN " * 3000 + "1" + " END" * 3000,
        "50,000 IN items": "SELECT id FROM orders WHERE id IN (" + ",".join(map(str, range(50_000))) + ")",
        "10,000 OR": "SELECT id FROM orders WHERE " + " OR ".join(f"id = {n}" for n in range(10_000)),
        "10,000 CTEs": f"WITH {ctes} SELECT 1",
        "1,000 joins": "SELECT 1 FROM orders o" + " JOIN orders USING (id)" * 1000,
        "1,000 tables": "SELECT 1 FROM " + ",".join(f"orders o{n}" for n in range(1000)) + " LIMIT 0",
        "1,000 set operations": " UNION ALL ".join(["SELECT id FROM orders"] * 1000),
        "40,000 statements": ";".join(["SELECT 1"] * 40_000),
        "1,600 subscripts": "SELECT (ARRAY[1])" + "[1]" * 1600,
        "1,600 casts": "SELECT 1" + "::int" * 1600,
        "a bomb for a scanner of strings": "SELECT '" + "''" * 400_000,
        "a bomb for a scanner of identifiers": "SELECT " + '"' + '""' * 400_000,
        "a bomb for a scanner of numbers": "SELECT " + "1e" * 400_000,
        "a bomb for a scanner of dollars": "SELECT " + "$a" * 400_000,
        "a bomb for a scanner of white space": "SELECT" + " \n" * 490_000 + "1",
        "a name of 900,000 characters": "SELECT " + "a" * 900_000,
        "all parameters": "SELECT " + ",".join(f"${n}" for n in range(1, 65_000)),
        "more than a megabyte": "SELECT '" + "x" * 1_100_000 + "'",
    }


# PostgreSQL's scanner reads an operator to its end before it sees that a comment begins: quadratic, hours of it.
NEVER_ENDING = "SELECT 1 /*" + "/*" * 200_000 + "*/" * 200_000 + "*/"
