"""Extensions whose code has been read: what clients may call of them in a database with other tenants' rows.

An extension is on this list when none of its operators, casts and input functions runs SQL text, opens a file, reads a
table, changes a setting or reaches another session: they compute from their operands. Its functions are listed one by
one, as documented, without those for indexes and aggregates' inner states. Whether a function belongs to an extension
is what pg_depend says, never its name. No such code counts as leakproof.

Not here, for what they do: dblink, postgres_fdw, file_fdw, xml2 and tablefunc (run SQL or read files), adminpack,
pg_stat_statements, pgstattuple, pgrowlocks, pageinspect and their like (show everybody's rows or work).

Sources: the scripts and C files of PostgreSQL 15 and 18 contrib, and of pgvector 0.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def _names(text: str = "") -> frozenset[str]:
    return frozenset(text.split())


REVIEWED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "btree_gin": _names(),
        "btree_gist": _names(),
        "citext": _names("""
            citext max min regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table
            replace split_part strpos translate
        """),
        "cube": _names("""
            cube cube_coord cube_coord_llur cube_dim cube_distance cube_enlarge cube_inter cube_is_point cube_ll_coord
            cube_subset cube_union cube_ur_coord distance_chebyshev distance_taxicab
        """),
        "earthdistance": _names("""
            earth earth_box earth_distance gc_to_sec latitude ll_to_earth longitude sec_to_gc
        """),
        "fuzzystrmatch": _names("""
            daitch_mokotoff difference dmetaphone dmetaphone_alt levenshtein levenshtein_less_equal metaphone soundex
            text_soundex
        """),
        "hstore": _names("""
            akeys avals defined delete each exist exists_all exists_any fetchval hstore hstore_to_array hstore_to_json
            hstore_to_json_loose hstore_to_jsonb hstore_to_jsonb_loose hstore_to_matrix isdefined isexists
            populate_record skeys slice slice_array svals
        """),
        "intarray": _names("icount idx intset sort sort_asc sort_desc subarray uniq"),
        # not isn_weak: it changes how the session reads values
        "isn": _names("is_valid isbn isbn13 ismn ismn13 issn issn13 make_valid upc"),
        "ltree": _names("index lca ltree2text nlevel subltree subpath text2ltree"),
        # not set_limit: it changes a setting
        "pg_trgm": _names("show_limit show_trgm similarity strict_word_similarity word_similarity"),
        "pgcrypto": _names("""
            armor crypt dearmor decrypt decrypt_iv digest encrypt encrypt_iv gen_random_bytes gen_random_uuid gen_salt
            hmac pgp_armor_headers pgp_key_id pgp_pub_decrypt pgp_pub_decrypt_bytea pgp_pub_encrypt
            pgp_pub_encrypt_bytea pgp_sym_decrypt pgp_sym_decrypt_bytea pgp_sym_encrypt pgp_sym_encrypt_bytea
        """),
        "seg": _names("seg_center seg_inter seg_lower seg_size seg_union seg_upper"),
        "unaccent": _names("unaccent"),
        # not uuid_generate_v1: it tells the host's network address
        "uuid-ossp": _names("""
            uuid_generate_v1mc uuid_generate_v3 uuid_generate_v4 uuid_generate_v5 uuid_nil uuid_ns_dns uuid_ns_oid
            uuid_ns_url uuid_ns_x500
        """),
        "vector": _names("""
            array_to_halfvec array_to_sparsevec array_to_vector avg binary_quantize cosine_distance halfvec
            halfvec_to_float4 hamming_distance inner_product jaccard_distance l1_distance l2_distance l2_norm
            l2_normalize sparsevec subvector sum vector vector_dims vector_norm vector_to_float4
        """),
    }
)

# With so many arguments only: unaccent(dictionary, text) would reach dictionaries by name.
ARGUMENTS: Mapping[str, int] = MappingProxyType({"unaccent": 1})
