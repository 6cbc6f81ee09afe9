"""The functions of SQL that a condition may call: each only reads its arguments.

No function is listed that makes a value as long as a number asks (`range`, `repeat`, `lpad`), that waits
(`sleep_ms`), or that reads or changes the database (`current_setting`, `nextval`, `write_log`). A function
that a later DuckDB adds is refused until it is listed here.
"""

from __future__ import annotations

_OPERATORS = "!~~ !~~* ~~ ~~* ~~~ % & && * ** + - ->> -> / // < <= <> <@ = > >= >> << @ @> ^ ^@ | || ~ !="
_NUMBERS = """
    abs acos asin atan atan2 cbrt ceil ceiling cos cot degrees divide even exp fdiv floor fmod gcd greatest
    isfinite isinf isnan lcm least ln log log10 log2 mod multiply pi pow power radians round round_even sign
    signbit sin sqrt subtract add tan trunc xor bit_count
"""
_TEXTS = """
    ascii bit_length char_length character_length chr concat concat_ws contains ends_with hash instr lcase
    left left_grapheme len length length_grapheme like_escape ilike_escape not_like_escape not_ilike_escape
    lower ltrim md5 nfc_normalize octet_length ord parse_dirname parse_dirpath parse_filename parse_path
    position prefix regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches replace
    regexp_replace regexp_split_to_array reverse right right_grapheme rtrim sha1 sha256 split split_part
    starts_with str_split str_split_regex string_split string_split_regex string_to_array strip_accents strlen
    strpos substr substring substring_grapheme suffix translate trim ucase unicode upper url_decode url_encode
"""
_TIMES = """
    age century date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day
    dayname dayofmonth dayofweek dayofyear decade epoch epoch_ms epoch_ns epoch_us era hour isodow isoyear
    julian last_day make_date make_time make_timestamp microsecond millennium millisecond minute month
    monthname now nanosecond quarter second strftime strptime time_bucket timezone to_days to_hours
    to_centuries to_decades to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters
    to_seconds to_timestamp to_weeks to_years today try_strptime week weekday weekofyear year yearweek
    current_localtime current_localtimestamp get_current_time get_current_timestamp ago days_in_month
"""
_LISTS = """
    array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains array_distinct
    array_extract array_filter array_has array_has_all array_has_any array_indexof array_intersect
    array_length array_position array_prepend array_slice array_sort array_to_string array_transform
    array_unique array_value cardinality element_at filter flatten list_aggr list_aggregate list_any_value
    list_append list_apply list_avg list_bool_and list_bool_or list_cat list_concat list_contains list_count
    list_distinct list_element list_extract list_filter list_first list_has list_has_all list_has_any
    list_indexof list_intersect list_last list_max list_median list_min list_mode list_pack list_position
    list_prepend list_reverse list_reverse_sort list_slice list_sort list_string_agg list_sum list_transform
    list_unique list_value map map_contains map_entries map_extract map_extract_value map_keys map_values row
    struct_contains struct_extract struct_extract_at struct_keys struct_pack struct_values unnest
"""
_JSON = """
    from_json json json_array json_array_length json_contains json_exists json_extract json_extract_path
    json_extract_path_text json_extract_string json_keys json_object json_quote json_structure json_transform
    json_type json_valid json_value to_json
"""
_OTHERS = "coalesce if ifnull nullif typeof try between"

FUNCTIONS = frozenset(" ".join((_OPERATORS, _NUMBERS, _TEXTS, _TIMES, _LISTS, _JSON, _OTHERS)).split())
TAKE_FUNCTIONS = {f"{of}_{how}" for of in ("list", "array") for how in ("apply", "filter", "transform")} | {
    "filter"
}  # with other functions, an arrow reads from JSON
