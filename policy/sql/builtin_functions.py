"""Which PostgreSQL built-ins a client may call, by name: the reviewed data behind `policy/sql/functions.py`.

The candidates were the names of pg_proc of PostgreSQL 15.18 and 18.6 without those that take or return `internal`
or `cstring`, reviewed group by group. A name belongs here when none of its overloads can run SQL text, open a
file, change a setting, reach another session, or tell of rows that its arguments do not hold. What is in no group
is refused, so a newer server's functions are closed until somebody has read them.

Source: PostgreSQL documentation chapter 9, src/include/catalog/pg_proc.dat.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MATHEMATICS = _names("""
    abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos cosd cosh cot cotd degrees
    div erf erfc exp factorial floor gamma gcd lcm lgamma ln log log10 min_scale mod numeric_inc pi pow power radians
    random random_normal round scale sign sin sind sinh sqrt tan tand tanh trim_scale trunc width_bucket
    int4inc bit_count crc32 crc32c dexp dlog1 dlog10 dround dtrunc int8_sum numeric_div_trunc numeric_exp numeric_ln
    numeric_log numeric_sqrt
""")

STRINGS = _names("""
    cash_words
    ascii bit_length btrim casefold char_length character_length chr concat concat_ws convert convert_from convert_to
    decode encode format get_bit get_byte initcap is_normalized left length like like_escape lower lpad ltrim md5
    normalize notlike octet_length overlay parse_ident position quote_ident quote_literal quote_nullable
    regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
    regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim set_bit set_byte sha224 sha256 sha384
    sha512 similar_escape similar_to_escape split_part starts_with string_to_array string_to_table strpos substr
    substring textcat textlen to_ascii to_bin to_hex to_oct translate unicode_assigned unicode_version
    icu_unicode_version unistr upper
""")

DATES = _names("""
    age clock_timestamp date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days
    justify_hours justify_interval make_date make_interval make_time make_timestamp make_timestamptz now overlaps
    statement_timestamp timeofday timezone to_char to_date to_number to_timestamp transaction_timestamp
""")

CONVERSIONS = _names("""
    enum_send nameconcatoid pg_lsn
    bit bool box bpchar bytea char cidr circle date float4 float8 int2 int4 int8 interval line lseg macaddr macaddr8
    money name numeric oid path point polygon text time timestamp timestamptz timetz varbit varchar xid
""")

JSON = _names("""
    array_to_json json_array_element json_array_element_text json_array_elements json_array_elements_text
    json_array_length json_build_array json_build_object json_each json_each_text json_extract_path
    json_extract_path_text json_object json_object_field json_object_field_text json_object_keys
    json_populate_record json_populate_recordset json_strip_nulls json_to_record json_to_recordset json_typeof
    jsonb_array_element jsonb_array_element_text jsonb_array_elements jsonb_array_elements_text jsonb_array_length
    jsonb_build_array jsonb_build_object jsonb_concat jsonb_contained jsonb_contains jsonb_delete jsonb_delete_path
    jsonb_each jsonb_each_text jsonb_exists jsonb_exists_all jsonb_exists_any jsonb_extract_path
    jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_field jsonb_object_field_text jsonb_object_keys
    jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query
    jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz
    jsonb_path_query_tz jsonb_populate_record jsonb_populate_record_valid jsonb_populate_recordset jsonb_pretty
    jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json to_json
    to_jsonb
""")

ARRAYS = _names("""
    array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions
    array_prepend array_remove array_replace array_reverse array_sample array_shuffle array_sort array_to_string
    array_upper cardinality generate_subscripts trim_array unnest
""")

RANGES = _names("""
    datemultirange daterange int4multirange int4range int8multirange int8range isempty lower_inc lower_inf multirange
    nummultirange numrange range_merge tsmultirange tsrange tstzmultirange tstzrange upper_inc upper_inf
""")

# Not ts_stat (runs its argument as SQL) and not ts_rewrite with two arguments (the same); see REVIEWED_CALLS.
TEXT_SEARCH = _names("""
    array_to_tsvector get_current_ts_config json_to_tsvector jsonb_to_tsvector numnode phraseto_tsquery plainto_tsquery
    querytree setweight strip to_tsquery to_tsvector ts_debug ts_delete ts_filter ts_headline ts_lexize ts_parse
    ts_rank ts_rank_cd ts_token_type tsquery_and tsquery_not tsquery_or tsquery_phrase tsvector_concat
    tsvector_to_array websearch_to_tsquery
""")

GEOMETRY_AND_NETWORK = _names("""
    abbrev area bound_box broadcast center diagonal diameter family height host hostmask inet_merge inet_same_family
    isclosed ishorizontal isopen isparallel isperp isvertical macaddr8_set7bit masklen netmask network npoints pclose
    popen radius set_masklen slope width
""")

# Documents given as values only; query_to_xml and its family are refused below.
XML = _names("""
    xml xml_is_well_formed xml_is_well_formed_content xml_is_well_formed_document xmlcomment xmlexists xmltext
    xmlvalidate xpath xpath_exists
""")

AGGREGATES = _names("""
    any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every json_agg
    json_agg_strict json_object_agg json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict
    jsonb_agg jsonb_agg_strict jsonb_object_agg jsonb_object_agg_strict jsonb_object_agg_unique
    jsonb_object_agg_unique_strict max min mode percentile_cont percentile_disc range_agg range_intersect_agg
    regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop
    stddev_samp string_agg sum var_pop var_samp variance xmlagg
""")

WINDOWS = _names("""
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
""")

ENUMS_AND_UUIDS = _names("""
    enum_first enum_last enum_range gen_random_uuid uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7
""")

# Of values only, as applications use them to spread rows.
HASHES = _names("""
    hash_array hash_array_extended hash_multirange hash_multirange_extended hash_numeric hash_numeric_extended
    hash_range hash_range_extended hash_record hash_record_extended hashbool hashboolextended hashbpchar
    hashbpcharextended hashbytea hashbyteaextended hashchar hashcharextended hashdate hashdateextended hashenum
    hashenumextended hashfloat4 hashfloat4extended hashfloat8 hashfloat8extended hashinet hashinetextended hashint2
    hashint2extended hashint4 hashint4extended hashint8 hashint8extended hashmacaddr hashmacaddrextended hashname
    hashnameextended hashoid hashoidextended hashtext hashtextextended interval_hash interval_hash_extended jsonb_hash
    jsonb_hash_extended time_hash time_hash_extended timestamp_hash timestamp_hash_extended timestamptz_hash
    timestamptz_hash_extended timetz_hash timetz_hash_extended uuid_hash uuid_hash_extended
""")

SETS_AND_VALUES = _names("""
    generate_series num_nonnulls num_nulls pg_collation_for pg_column_compression
    pg_column_size pg_size_bytes pg_size_pretty pg_timezone_abbrevs_abbrevs
    pg_timezone_abbrevs_zone pg_timezone_names pg_typeof xmlconcat2
""")

# About the session itself; none tells of another one. pg_sleep is bounded by the statement timeout.
SESSION = _names("""
    current_database current_schema current_schemas current_user getdatabaseencoding getpgusername
    pg_advisory_unlock_all pg_backend_pid pg_char_to_encoding pg_client_encoding pg_encoding_max_length
    pg_encoding_to_char pg_is_in_recovery pg_is_wal_replay_paused pg_jit_available pg_my_temp_schema
    pg_is_other_temp_schema pg_sleep pg_sleep_for pg_sleep_until pg_trigger_depth session_user version
""")

# What psql's backslash commands, pgJDBC and ORM reflection call: names, comments and visibility by oid.
CATALOG_HELPERS = _names("""
    col_description format_type obj_description oidvectortypes pg_collation_is_visible pg_conversion_is_visible
    pg_function_is_visible pg_get_expr pg_get_keywords pg_get_userbyid pg_index_column_has_property
    pg_index_has_property pg_indexam_has_property pg_opclass_is_visible pg_operator_is_visible pg_opfamily_is_visible
    pg_options_to_table pg_relation_is_publishable pg_statistics_obj_is_visible pg_table_is_visible
    pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible pg_ts_template_is_visible
    pg_type_is_visible shobj_description pg_available_extensions pg_available_extension_versions
""")

ALLOWED: frozenset[str] = frozenset().union(
    MATHEMATICS,
    STRINGS,
    DATES,
    CONVERSIONS,
    JSON,
    ARRAYS,
    RANGES,
    TEXT_SEARCH,
    GEOMETRY_AND_NETWORK,
    XML,
    AGGREGATES,
    WINDOWS,
    ENUMS_AND_UUIDS,
    HASHES,
    SETS_AND_VALUES,
    SESSION,
    CATALOG_HELPERS,
)

# About an object by its oid: rules/catalog_functions.py lets them answer for objects that the session may see.
GUARDED_BY_OID = _names("""
    pg_get_constraintdef pg_get_function_arg_default pg_get_function_arguments pg_get_function_identity_arguments
    pg_get_function_result pg_get_functiondef pg_get_indexdef pg_get_partkeydef pg_get_replica_identity_index
    pg_get_statisticsobjdef pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_get_triggerdef
    pg_get_viewdef pg_get_ruledef pg_indexes_size pg_partition_ancestors pg_relation_size pg_table_size
    pg_tablespace_location pg_total_relation_size
""")

# They print their argument in an error or tell whether an object exists.
PRIVILEGE_TESTS = _names("""
    has_any_column_privilege has_column_privilege has_database_privilege has_foreign_data_wrapper_privilege
    has_function_privilege has_language_privilege has_schema_privilege has_sequence_privilege has_server_privilege
    has_table_privilege has_tablespace_privilege has_type_privilege pg_has_role row_security_active
""")
NAME_RESOLVERS = _names("""
    to_regclass to_regcollation to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure to_regrole
    to_regtype
""")

# Harmless where nobody else's data is in the database: allowed in the database strategy.
OWN_DATABASE_ONLY = _names("""
    pg_database_size pg_tablespace_size pg_get_serial_sequence pg_get_function_sqlbody setseed
    pg_relation_filenode to_regtypemod pg_partition_root
    pg_partition_tree pg_get_partition_constraintdef
    pg_sequence_last_value pg_sequence_parameters pg_column_is_updatable pg_relation_is_updatable
    txid_current txid_current_if_assigned txid_status txid_current_snapshot txid_snapshot_xip txid_snapshot_xmax
    txid_snapshot_xmin txid_visible_in_snapshot pg_current_xact_id pg_current_xact_id_if_assigned pg_xact_status
    pg_current_snapshot pg_snapshot_xip pg_snapshot_xmax pg_snapshot_xmin pg_visible_in_snapshot
    pg_describe_object pg_identify_object pg_identify_object_as_address
""")

# What all sessions of a database share, kept per tenant by rules/tenant_names.py.
CHANNELS = _names("pg_notify pg_listening_channels")
SESSION_LOCKS = _names("""
    pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared
""")
ADVISORY_LOCKS = SESSION_LOCKS | _names("""
    pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared
    pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
""")

# Well-known extensions' generators. The database's owner put them into a column's default, so there, and only there, a
# user-defined function of such a name is taken for what it says.
DEFAULT_GENERATORS = _names("""
    nextval gen_random_uuid uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 uuid_generate_v7
""")

SEQUENCES = _names("nextval currval setval lastval")

# Settings that say nothing about the host, the other tenants or the gateway.
READABLE_SETTINGS = _names("""
    application_name block_size bytea_output client_encoding client_min_messages datestyle default_tablespace
    default_transaction_deferrable default_transaction_isolation default_transaction_read_only extra_float_digits
    idle_in_transaction_session_timeout in_hot_standby integer_datetimes intervalstyle is_superuser jit lc_collate
    lc_ctype lc_messages lc_monetary lc_numeric lc_time lock_timeout max_function_args max_identifier_length
    max_index_keys max_prepared_transactions password_encryption role search_path server_encoding server_version
    server_version_num session_authorization standard_conforming_strings statement_timeout timezone
    transaction_deferrable transaction_isolation transaction_read_only work_mem xmlbinary xmloption
""")

# Why the rest is refused, by pattern of the name; the first that matches gives the hint.
REFUSAL_REASONS: tuple[tuple[str, str], ...] = (
    (
        "nextval|currval",
        "a sequence of shared tables counts all tenants' rows; leave the column out of INSERT and use RETURNING, or ask"
        " your administrator to list the sequence",
    ),
    ("lastval", "name the column in INSERT ... RETURNING instead"),
    ("setval", "it changes the sequence for everybody; ask your administrator"),
    (
        r"(query|table|schema|database|cursor)_to_xml.*|ts_stat|ts_rewrite|dblink.*|crosstab.*|connectby|xpath_(table|nodeset)",
        "it runs SQL text that the gateway cannot see; write the query itself in the statement",
    ),
    (
        r"pg_read_.*|pg_ls_.*|pg_stat_file|pg_file_.*|lo_.*|loread|lowrite|pg_current_logfile|pg_hba_.*|pg_ident_.*"
        r"|pg_relation_filepath|pg_tablespace_location|pg_show_all_file_settings",
        "it reaches files or large objects of the server; keep such data in a bytea column",
    ),
    (
        r"pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_rotate_logfile.*|pg_log_.*|pg_promote|pg_blocking_pids"
        r"|pg_safe_snapshot.*|pg_lock_status|pg_prepared_.*|pg_cursor|pg_isolation_.*|pg_export_snapshot|current_query",
        "it reaches other sessions or the server itself; ask your administrator",
    ),
    (r"set_config|pg_show_all_settings|pg_settings_.*", "settings are changed with SET and read with SHOW"),
    (
        r"pg_stat_.*|pg_get_(aios|shmem|backend|multixact|wal|wait|loaded|replication|publication|sequence_data).*",
        "server statistics hold other tenants' numbers; count your own rows instead",
    ),
    (r"setseed", "the numbers that follow would be known to who set the seed, and backends are used by others next"),
    (r"pg_notification_.*", "the queue of notifications is one for all tenants of a server"),
    (
        r"pg_.*_size|pg_partition_.*|pg_relation_.*|pg_sequence_.*",
        "sizes and layout of shared relations tell of other tenants' rows",
    ),
    (r"txid_.*|pg_.*xact.*|pg_.*snapshot.*|mxid_age", "transaction ids count other tenants' work"),
    (
        r"inet_.*_(addr|port)|pg_postmaster_.*|pg_conf_load_time|pg_control_.*|pg_config",
        "it describes the server's host",
    ),
    (
        r"brin_.*|gin_clean_.*|pg_extension_.*|pg_available_.*|pg_import_.*|pg_.*collation_actual_version|pg_nextoid"
        r"|pg_event_trigger_.*|pg_stop_making_.*|pg_get_catalog_foreign_keys|pg_numa_available|.*_validator|amvalidate"
        r"|pg_tablespace_databases|system_user|pg_timezone_abbrevs",
        "it is for administrators of the server",
    ),
    (r"pg_(clear|restore)_.*_stats|pg_mcv_.*|pg_indexam_progress_.*", "statistics hold other tenants' numbers"),
    (
        r"currtid2|pg_filenode_relation|pg_column_toast_chunk_id|satisfies_hash_partition",
        "where rows are kept tells of other tenants' rows",
    ),
    (
        r"has_(largeobject|parameter|language|tablespace|server|foreign_data_wrapper)_privilege|pg_get_acl|aclexplode"
        r"|aclcontains|acldefault|aclinsert|aclremove|makeaclitem|pg_get_object_address|to_regtypemod|to_regprocedure"
        r"|to_regoperator|pg_(describe|identify)_object.*|regclass",
        "it tells whether objects or roles of others exist; look into pg_class and information_schema, or write"
        " 'orders'::regclass",
    ),
    (
        r"(pg_.*wal.*|pg_.*slot.*|pg_.*replication.*|pg_logical_.*|pg_backup_.*|pg_create_.*|binary_upgrade_.*)",
        "it is for administrators of the server",
    ),
)

# Of the functions that are refused elsewhere, with a reason above or because nobody has read them: what even who may
# store code does not call, because it reaches beyond the database. The others a stored function may call anyway.
BEYOND_THE_DATABASE = (
    r"pg_read_.*|pg_ls_.*|pg_stat_file|pg_file_.*|lo_(im|ex)port|pg_current_logfile|pg_hba_.*|pg_ident_.*"
    r"|pg_relation_filepath|pg_show_all_file_settings|dblink.*|pg_terminate_backend|pg_cancel_backend|pg_reload_conf"
    r"|pg_rotate_logfile.*|pg_log_.*|pg_promote|pg_blocking_pids|pg_safe_snapshot.*|pg_lock_status|pg_prepared_.*"
    r"|pg_isolation_.*|pg_export_snapshot|set_config|pg_show_all_settings|pg_settings_.*|pg_stat_.*"
    r"|pg_get_(aios|shmem|backend|multixact|wal|wait|loaded|replication|publication|sequence_data).*"
    r"|pg_notification_.*|inet_.*_(addr|port)|pg_postmaster_.*|pg_conf_load_time|pg_control_.*|pg_config|pg_nextoid"
    r"|pg_stop_making_.*|pg_tablespace_databases|system_user|pg_(clear|restore)_.*_stats|pg_.*wal.*|pg_.*slot.*"
    r"|pg_.*replication.*|pg_logical_.*|pg_backup_.*|pg_create_.*|binary_upgrade_.*|pg_extension_.*|pg_import_.*"
    r"|has_parameter_privilege"
)
# They run SQL text of their argument's.
RUN_SQL = r"(query|table|schema|database|cursor)_to_xml.*|ts_stat|ts_rewrite"
