"""Expressions by the family that they give: templates whose braces are filled with expressions of the family named.

`{small}` is a small number as a literal. What may fail on some values only is in RISKY: whether it is evaluated for
such a row depends on the plan, so the two sides may differ in it without a fault.
"""

from __future__ import annotations

from collections.abc import Mapping

FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "int": (
        "({int} + {small})", "({int} - {small})", "({int} * {small})", "({int} % 7)", "abs({int})", "(- {int})",
        "length({text})", "char_length({text})", "octet_length({text})", "ascii({text})", "strpos({text}, {text})",
        "position({text} IN {text})", "cardinality({text[]})", "array_length({int[]}, 1)", "({date} - {date})",
        "extract(year FROM {date})::int", "date_part('month', {timestamptz})::int", "mod({int}, 5)", "({int} & 7)",
        "sign({int})::int", "width_bucket({numeric}, 0, 100, 5)", "{bool}::int", "num_nonnulls({text}, {int})",
        "num_nulls({text}, {int})", "array_position({text[]}, {text})", "round({numeric})::int", "({int} # 3)",
        "floor({numeric})::bigint", "({small} << 2)", "trunc({numeric})::int",
        "coalesce(array_upper({text[]}, 1), {int})", "jsonb_array_length(jsonb_build_array({text}, {int}))",
        "regexp_count({text}, 'a')",
    ),
    "numeric": (
        "({numeric} + {numeric})", "({numeric} - {small})", "({numeric} * {small})", "round({numeric}, 1)",
        "abs({numeric})", "{int}::numeric", "ceil({numeric})", "floor({numeric})", "round({numeric} / 7, 2)",
        "trunc({numeric}, 1)", "greatest({numeric}, 0)", "(+ {numeric})", "sign({numeric})", "mod({numeric}, 10)",
        "({numeric} * {int})", "extract(epoch FROM {timestamptz})", "least({numeric}, {int})",
    ),
    "float": ("{int}::float8", "sqrt({small})", "round({float}::numeric, 3)::float8", "floor({float})"),
    "text": (
        "lower({text})", "upper({text})", "initcap({text})", "({text} || {text})", "({text} || {int})",
        "concat({text}, {int}, {bool})", "concat_ws('-', {text}, {text})", "left({text}, {small})", "right({text}, 3)",
        "substr({text}, {small})", "substring({text} FROM 1 FOR {small})", "replace({text}, 'a', {text})",
        "trim({text})", "trim(both 'a' FROM {text})", "ltrim({text}, 'a')", "reverse({text})", "md5({text})",
        "lpad({text}, 8, '*')", "rpad({text}, 5)", "split_part({text}, '-', 1)", "{int}::text", "{numeric}::text",
        "{bool}::text", "{date}::text", "to_char({numeric}, 'FM9990.00')", "to_char({timestamptz}, 'YYYY-MM-DD')",
        "to_char({date}, 'Day DD Month')", "regexp_replace({text}, '[0-9]+', '#')", "translate({text}, 'ab', 'xy')",
        "overlay({text} PLACING 'Z' FROM 1 FOR 1)", "chr((65 + abs({int}) % 26)::int)",
        "format('%s-%s', {text}, {int})",
        "format('%I', coalesce({text}, 'x'))", "quote_literal({text})", "quote_ident({text})", "({jsonb} ->> 'n')",
        "({jsonb} #>> '{{a,b}}')", "array_to_string({text[]}, ',')", "({text[]})[1]", "{jsonb}::text",
        "substring({text} FROM '[a-z]+')", "repeat({text}, 2)", "to_hex(abs({int}))", "pg_typeof({int})::text",
        "encode(convert_to({text}, 'UTF8'), 'hex')", "string_to_array({text}, '-')::text", "{interval}::text",
        "CAST({int} AS varchar)", "({text})::varchar(5)", "({text} COLLATE \"C\")", "normalize({text})",
        "JSON_VALUE({jsonb}, '$.n')", "jsonb_typeof({jsonb})",
        "btrim({text}, 'x ')", "date_trunc('month', {timestamptz})::text",
        "unistr({text})",
    ),
    "bool": (
        "({text} LIKE {pattern})", "({text} ILIKE {pattern})", "({text} NOT LIKE {pattern})", "({text} ~ '^[A-M]')",
        "({text} !~* 'ac')", "({text} SIMILAR TO '%(a|b)%')", "starts_with({text}, 'a')", "({text} ^@ {text})",
        "({jsonb} ? 'n')", "({jsonb} @> '{{\"n\": 1}}')", "({jsonb} ?| ARRAY['n', 'who'])",
        "({text[]} @> ARRAY[{text}]::text[])",
        "({text[]} && {text[]})", "({text} = ANY ({text[]}))", "({int} = ANY ({int[]}))", "({int} <> ALL ({int[]}))",
        "(({date}, {date}) OVERLAPS ({date}, {interval}))", "({int} % 2 = 0)", "jsonb_exists({jsonb}, 'n')",
        "({jsonb} IS NOT NULL)", "({bool} IS TRUE)", "({bool} IS NOT FALSE)", "({bool} IS UNKNOWN)",
        "(({int}, {text}) = ({int}, {text}))", "(({int}, {text}) < ({int}, {text}))", "(ROW({int}, {text}) IS NULL)",
        "(({int}, {numeric}) IS DISTINCT FROM ({int}, {numeric}))", "({timestamptz} < now())", "isfinite({date})",
        "({bool} = {bool})", "({jsonb} IS JSON OBJECT)", "JSON_EXISTS({jsonb}, '$.n')",
        "({jsonb} @? '$.n')", "({text} < {text} COLLATE \"C\")", "({date} <= CURRENT_DATE)",
        "(int4range(0, 100) @> {small})",
        "({timestamptz} BETWEEN {timestamptz} AND {timestamptz} + interval '30 days')",
        "({text} IS NORMALIZED)",
    ),
    "date": (
        "({date} + {small})", "({date} - {small})", "{timestamptz}::date", "greatest({date}, {date})",
        "make_date(2025, (1 + abs({int}) % 12)::int, 1)", "{timestamp}::date",
        "date_trunc('year', {timestamptz})::date",
        "to_date('2025-03-' || (1 + abs({int}) % 28), 'YYYY-MM-DD')",
    ),
    "timestamp": (
        "({timestamp} + {interval})", "date_trunc('day', {timestamp})", "({timestamptz} AT TIME ZONE 'UTC')",
        "({date} + {interval})", "{date}::timestamp",
    ),
    "timestamptz": (
        "({timestamptz} + {interval})", "({timestamptz} - interval '1 day')", "date_trunc('month', {timestamptz})",
        "({timestamp} AT TIME ZONE 'Europe/Berlin')", "least({timestamptz}, {timestamptz})", "{date}::timestamptz",
        "to_timestamp(abs({int}))", "date_bin('15 minutes', {timestamptz}, '2025-01-01 00:00+00'::timestamptz)",
    ),
    "interval": (
        "({timestamptz} - {timestamptz})", "age({timestamptz}, {timestamptz})", "make_interval(days => {small})",
        "({interval} * {small})", "justify_hours({interval})", "({interval} + interval '1 hour')",
    ),
    "jsonb": (
        "jsonb_build_object('k', {text}, 'n', {int})", "jsonb_build_array({text}, {int})", "to_jsonb({text})",
        "({jsonb} || jsonb_build_object('z', {int}))", "({jsonb} -> 'n')", "({jsonb} - 'n')",
        "jsonb_set({jsonb}, '{{x}}', to_jsonb({int}))", "jsonb_strip_nulls({jsonb})", "to_jsonb({text[]})",
        "({jsonb} #> '{{a,b}}')", "to_jsonb({numeric})", "jsonb_path_query_first({jsonb}, '$.n')",
        "JSON_OBJECT('k': {text} RETURNING jsonb)", "JSON_ARRAY({int}, {text} NULL ON NULL RETURNING jsonb)",
        "JSON_QUERY({jsonb}, '$.n')",
    ),
    "json": ("json_build_object('k', {text})", "to_json({text})", "{jsonb}::json", "row_to_json(ROW({int}, {text}))"),
    "uuid": ("md5({text})::uuid",),
    "bytea": ("convert_to({text}, 'UTF8')", "decode(md5({text}), 'hex')", "sha256(convert_to({text}, 'UTF8'))"),
    "text[]": (
        "ARRAY[{text}, {text}]", "array_append({text[]}, {text})", "({text[]} || {text})",
        "array_remove({text[]}, {text})",
        "string_to_array({text}, '-')", "({text[]})[1:2]", "array_cat({text[]}, {text[]})",
        "regexp_split_to_array({text}, ' ')",
    ),
    "int[]": ("ARRAY[{int}, {small}]", "array_append({int[]}, {int})", "array_fill({small}, ARRAY[2])"),
}  # fmt: skip

RISKY: Mapping[str, tuple[str, ...]] = {
    "int": ("({int} / {int})", "({text})::int", "({jsonb} ->> 'n')::int"),
    "numeric": ("({numeric} / {numeric})", "({text})::numeric", "sqrt({numeric})"),
    "bool": ("(({text})::int > 3)", "(1 / {int} > 0)", "({text} ~ {text})", "({text})::bool"),
    "date": ("({text})::date",),
    "jsonb": ("({text})::jsonb",),
}

SINCE: Mapping[str, int] = {
    "JSON_OBJECT": 160000, "JSON_ARRAY": 160000, "IS JSON": 160000, "JSON_VALUE": 170000, "JSON_QUERY": 170000,
    "JSON_EXISTS": 170000, "regexp_count": 150000, "date_bin": 140000, "unistr": 140000, "IS NORMALIZED": 130000,
}  # fmt: skip
"""A part of a template, and the server that first knows it."""

AGGREGATES: tuple[tuple[str, str], ...] = (
    ("int", "count(*)"), ("int", "count({any})"), ("int", "count(DISTINCT {sortable})"), ("numeric", "sum({int})"),
    ("numeric", "sum({numeric})"), ("numeric", "avg({int})"), ("numeric", "sum(DISTINCT {int})"),
    ("numeric", "avg({numeric})"), ("int", "max({int})"), ("int", "min({int})"), ("text", "max({text})"),
    ("text", "min({text})"), ("numeric", "max({numeric})"), ("timestamptz", "max({timestamptz})"),
    ("date", "min({date})"), ("bool", "bool_and({bool})"), ("bool", "bool_or({bool})"), ("bool", "every({bool})"),
    ("text[]", "array_agg({text1} ORDER BY {text1})"), ("text", "string_agg({text1}, ',' ORDER BY {text1} DESC)"),
    ("text", "string_agg(DISTINCT {text1}, '|')"), ("int[]", "array_agg(DISTINCT {int})"),
    ("jsonb", "jsonb_agg({int1} ORDER BY {int1})"), ("json", "json_agg({text1} ORDER BY {text1})"),
    ("numeric", "round(stddev({int}), 4)"), ("numeric", "round(variance({numeric}), 4)"), ("int", "bit_or({int})"),
    ("jsonb", "jsonb_object_agg({text1}, {int1} ORDER BY {text1}, {int1}) FILTER (WHERE {text1} IS NOT NULL)"),
    ("text", "mode() WITHIN GROUP (ORDER BY {text})"), ("int", "percentile_disc(0.5) WITHIN GROUP (ORDER BY {int})"),
    ("int", "rank(3) WITHIN GROUP (ORDER BY {int})"), ("int", "regr_count({int}, {int})"),
    ("int", "count({int}) FILTER (WHERE {bool})"), ("numeric", "sum({numeric}) FILTER (WHERE {bool})"),
)  # fmt: skip
"""(family, template); of {text1} and {int1}, the same expression stands in each place."""

WINDOWS: tuple[tuple[str, str, bool], ...] = (
    ("int", "rank()", False), ("int", "dense_rank()", False), ("int", "count(*)", False), ("int", "row_number()", True),
    ("numeric", "sum({int})", False), ("int", "max({int})", False), ("text", "min({text})", False),
    ("text", "lag({text})", True), ("int", "lead({int}, 2, 0)", True), ("text", "first_value({text})", True),
    ("text", "last_value({text})", True), ("text", "nth_value({text}, 2)", True), ("int", "ntile(3)", True),
    ("numeric", "round((percent_rank() OVER {over})::numeric, 4)", False),
    ("numeric", "round((cume_dist() OVER {over})::numeric, 4)", False),
    ("numeric", "avg({numeric})", False), ("int", "count(*) FILTER (WHERE {bool})", False),
)  # fmt: skip
"""(family, template, needs a total order)."""
